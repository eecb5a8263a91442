package badinput

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// prefixed is a gRPC message: a flag, the length in four bytes, the message.
func prefixed(flag byte, length uint32, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flag}, length), message...)
}

// headerBlock encodes "name: value" lines, in order. A name may begin with a
// colon.
func headerBlock(lines []string) ([]byte, error) {
	var out bytes.Buffer
	enc := hpack.NewEncoder(&out)
	for _, line := range lines {
		name, value, err := splitHeader(line)
		if err != nil {
			return nil, err
		}
		if err := enc.WriteField(hpack.HeaderField{Name: name, Value: value}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// splitHeader also accepts pseudo headers.
func splitHeader(line string) (name, value string, err error) {
	i := strings.Index(line[min(1, len(line)):], ":")
	if i < 0 {
		return "", "", fmt.Errorf("header %q: expected \"Name: value\"", line)
	}
	return line[:i+1], strings.TrimPrefix(line[i+2:], " "), nil
}

// framingFunctions write the framing of a message.
func framingFunctions() map[string]function {
	return map[string]function{
		"msg": {least: 1, most: 1, usage: "msg(EXPR): with the prefix of gRPC", run: func(a *arguments) ([]byte, error) {
			b := a.bytes(0)
			return prefixed(0, uint32(len(b)), b), nil
		}},
		"msgz": {least: 1, most: 1, usage: "msgz(EXPR): with the prefix of gRPC for a compressed message", run: func(a *arguments) ([]byte, error) {
			b := a.bytes(0)
			return prefixed(1, uint32(len(b)), b), nil
		}},
		"prefix": {least: 3, most: 3, usage: "prefix(FLAG, LENGTH, EXPR): any prefix of gRPC", run: func(a *arguments) ([]byte, error) {
			return prefixed(byte(a.int(0)), uint32(a.int(1)), a.bytes(2)), nil
		}},
		"chunk": {least: 1, most: 1, usage: "chunk(EXPR): a chunk of HTTP/1.1", run: func(a *arguments) ([]byte, error) {
			b := a.bytes(0)
			return append(append(fmt.Appendf(nil, "%x\r\n", len(b)), b...), "\r\n"...), nil
		}},
		"preface": {usage: "preface: the HTTP/2 client's, and empty SETTINGS", run: func(a *arguments) ([]byte, error) {
			return append([]byte(http2.ClientPreface), h2frame(4, 0, 0, nil)...), nil
		}},
		"h2": {least: 4, most: 4, usage: "h2(TYPE, FLAGS, STREAM, EXPR): an HTTP/2 frame", run: func(a *arguments) ([]byte, error) {
			return h2frame(byte(a.int(0)), byte(a.int(1)), uint32(a.int(2)), a.bytes(3)), nil
		}},
		"hpack": {most: -1, usage: "hpack(\"name: value\", ...)", run: func(a *arguments) ([]byte, error) {
			var lines []string
			for i := range a.args {
				lines = append(lines, string(a.bytes(i)))
			}
			return headerBlock(lines)
		}},
		"grpchead": {usage: "grpchead: the header block of a good gRPC request", run: func(a *arguments) ([]byte, error) {
			return headerBlock([]string{":method: POST", ":scheme: http", ":path: " + a.signal.Spec().Method, ":authority: localhost",
				"content-type: application/grpc", "te: trailers"})
		}},
	}
}

// h2frame is an HTTP/2 frame: length in three bytes, type, flags, stream.
func h2frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}
