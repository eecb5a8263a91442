package collectionagentv1

import (
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// The decoders of the entries, which use their message again. They do what the
// protobuf module does; only lists end when they have become too long. A fuzz test
// compares the two.

// Tags of the fields 1 to 6 by their type.
const (
	varint = uint32(wire.TypeVarint)
	texts  = uint32(wire.TypeBytes) // and bytes, and packed lists
)

func (x *TraceFrames) decode(b []byte) *Fault {
	x.Hash, x.FileIds, x.Addresses, x.Types = nil, nil, x.Addresses[:0], x.Types[:0]
	c := wire.Cursor{Buf: b}
	for c.Next() {
		switch c.Tag() {
		case 1<<3 | texts:
			x.Hash = c.Bytes
		case 2<<3 | texts:
			x.FileIds = c.Bytes
		case 3<<3 | texts, 3<<3 | varint:
			x.Addresses = appendNumbers(&c, "addresses", x.Addresses, MaxFrames, asIs)
		case 4<<3 | texts, 4<<3 | varint:
			x.Types = appendNumbers(&c, "types", x.Types, MaxFrames, toUint32)
		}
	}
	return undecodable(c.Err)
}

func (x *TraceCount) decode(b []byte) *Fault {
	var comm, pod, container []byte
	x.TraceHash, x.Timestamp, x.Count = nil, 0, 0
	c := wire.Cursor{Buf: b}
	for c.Next() {
		switch c.Tag() {
		case 1<<3 | texts:
			x.TraceHash = c.Bytes
		case 2<<3 | varint:
			x.Timestamp = uint32(c.Scalar)
		case 3<<3 | varint:
			x.Count = uint32(c.Scalar)
		case 4<<3 | texts:
			comm = text(&c, "comm")
		case 5<<3 | texts:
			pod = text(&c, "pod_name")
		case 6<<3 | texts:
			container = text(&c, "container_name")
		}
	}
	return first(undecodable(c.Err), setText("comm", &x.Comm, comm), setText("pod_name", &x.PodName, pod),
		setText("container_name", &x.ContainerName, container))
}

func (x *FrameMetadata) decode(b []byte) *Fault {
	var function, path []byte
	x.FileId, x.AddressOrLine, x.LineNumber, x.FunctionOffset = nil, 0, 0, 0
	c := wire.Cursor{Buf: b}
	for c.Next() {
		switch c.Tag() {
		case 1<<3 | texts:
			x.FileId = c.Bytes
		case 2<<3 | varint:
			x.AddressOrLine = c.Scalar
		case 3<<3 | varint:
			x.LineNumber = c.Scalar
		case 4<<3 | varint:
			x.FunctionOffset = uint32(c.Scalar)
		case 5<<3 | texts:
			function = text(&c, "function_name")
		case 6<<3 | texts:
			path = text(&c, "file_path")
		}
	}
	return first(undecodable(c.Err), setText("function_name", &x.FunctionName, function), setText("file_path", &x.FilePath, path))
}

func (x *ExecutableMetadata) decode(b []byte) *Fault {
	var name, build []byte
	x.FileId = nil
	c := wire.Cursor{Buf: b}
	for c.Next() {
		switch c.Tag() {
		case 1<<3 | texts:
			x.FileId = c.Bytes
		case 2<<3 | texts:
			name = text(&c, "file_name")
		case 3<<3 | texts:
			build = text(&c, "build_id")
		}
	}
	return first(undecodable(c.Err), setText("file_name", &x.FileName, name), setText("build_id", &x.BuildId, build))
}

func (x *FallbackSymbol) decode(b []byte) *Fault {
	var symbol []byte
	x.FileId, x.AddressOrLine = nil, 0
	c := wire.Cursor{Buf: b}
	for c.Next() {
		switch c.Tag() {
		case 1<<3 | texts:
			x.FileId = c.Bytes
		case 2<<3 | varint:
			x.AddressOrLine = c.Scalar
		case 3<<3 | texts:
			symbol = text(&c, "symbol")
		}
	}
	return first(undecodable(c.Err), setText("symbol", &x.Symbol, symbol))
}

func (x *HostMetadata) decode(b []byte) *Fault {
	x.Metadata, x.Timestamp = nil, 0
	c := wire.Cursor{Buf: b}
	for c.Next() {
		switch c.Tag() {
		case 1<<3 | texts:
			if f := x.addPair(c.Bytes); f != nil {
				return f
			}
		case 2<<3 | varint:
			x.Timestamp = c.Scalar
		}
	}
	return undecodable(c.Err)
}

// addPair reads an entry of the map.
func (x *HostMetadata) addPair(b []byte) *Fault {
	var key, value []byte
	c := wire.Cursor{Buf: b}
	for c.Next() {
		switch c.Tag() {
		case 1<<3 | texts:
			key = text(&c, "metadata")
		case 2<<3 | texts:
			value = text(&c, "metadata")
		}
	}
	if f := undecodable(c.Err); f != nil {
		return f
	}
	if x.Metadata == nil {
		x.Metadata = map[string]string{}
	}
	var k, v string
	if f := first(setText("metadata", &k, key), setText("metadata", &v, value)); f != nil {
		return f
	}
	x.Metadata[k] = v
	if len(x.Metadata) > MaxHostKeys {
		return x.Check()
	}
	return nil
}

func (x *MetricValues) decode(b []byte) *Fault {
	x.Timestamp, x.Ids, x.Values = 0, x.Ids[:0], x.Values[:0]
	c := wire.Cursor{Buf: b}
	for c.Next() {
		switch c.Tag() {
		case 1<<3 | varint:
			x.Timestamp = uint32(c.Scalar)
		case 2<<3 | texts, 2<<3 | varint:
			x.Ids = appendNumbers(&c, "ids", x.Ids, MaxMetricValues, toUint32)
		case 3<<3 | texts, 3<<3 | varint:
			x.Values = appendNumbers(&c, "values", x.Values, MaxMetricValues, fromZigzag)
		}
	}
	return undecodable(c.Err)
}

// text returns the text that c is at. One that is not UTF-8 ends c with an error.
func text(c *wire.Cursor, field string) []byte {
	if !utf8.Valid(c.Bytes) {
		c.Err = faultf(field, "expected UTF-8, found %.40q", c.Bytes)
	}
	return c.Bytes
}

// setText sets a text, without a copy if it is what it was. One that is too long is
// not copied.
func setText(field string, to *string, b []byte) *Fault {
	if len(b) > MaxTextBytes {
		return faultf(field, "expected at most %d bytes, found %d", MaxTextBytes, len(b))
	}
	if *to != string(b) {
		*to = string(b)
	}
	return nil
}

// appendNumbers appends the number or the packed numbers that c is at. A list of more
// than most numbers ends c with an error.
func appendNumbers[T any](c *wire.Cursor, field string, list []T, most int, as func(uint64) T) []T {
	if c.Type == wire.TypeVarint {
		list = append(list, as(c.Scalar))
	}
	for i := 0; c.Type == wire.TypeBytes && i < len(c.Bytes) && len(list) <= most; {
		v, next, err := wire.Varint(c.Bytes, i)
		if err != nil {
			c.Err = err
			return list
		}
		list, i = append(list, as(v)), next
	}
	if len(list) > most {
		c.Err = faultf(field, "expected at most %d, found more", most)
	}
	return list
}

func asIs(v uint64) uint64      { return v }
func toUint32(v uint64) uint32  { return uint32(v) }
func fromZigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
