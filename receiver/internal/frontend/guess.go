package frontend

import (
	"bytes"
	"encoding/binary"
)

// Guess returns what a body that could not be decoded as format may be instead, and what
// to do about it, as the end of an error; empty if there is no guess.
func Guess(format string, body []byte) string {
	text := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case bytes.HasPrefix(body, []byte{0x1f, 0x8b}): // RFC 1952, section 2.3.1
		return "; the body seems to be compressed: send it with Content-Encoding: gzip"
	case bytes.HasPrefix(body, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878, section 3.1.1
		return "; the body seems to be compressed: send it with Content-Encoding: zstd"
	case len(body) > 5 && body[0] <= 1 && int64(binary.BigEndian.Uint32(body[1:])) == int64(len(body))-5:
		return "; the body seems to begin with the prefix of a gRPC message: send it to the gRPC port, or without these 5 bytes"
	case format == "protobuf" && bytes.HasPrefix(text, []byte("{")):
		return "; the body seems to be JSON: send it with Content-Type: application/json"
	case format == "json" && bytes.HasPrefix(body, []byte{0x0a}) && !bytes.HasPrefix(text, []byte("{")):
		return "; the body seems to be protobuf: send it with Content-Type: application/x-protobuf"
	}
	return ""
}
