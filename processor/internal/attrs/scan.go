package attrs

import (
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

const (
	keyTag   = otlpfield.KeyValueKey<<3 | byte(wire.TypeBytes)
	valueTag = otlpfield.KeyValueValue<<3 | byte(wire.TypeBytes)
)

// A Scanner iterates over the attributes of a message that passed otlp.Check, in
// their order:
//
//	s := attrs.Scan(pass, record, otlpfield.LogRecordAttributes)
//	for s.Next() {
//		… s.Key, s.Value …
//	}
//
// Nothing is allocated, unless a value is in several parts.
type Scanner struct {
	// Start and End are the bounds of the field in the message.
	Start, End int
	// KeyValue is the attribute; Key is resolved through the dictionary. Value is nil
	// if there is none.
	KeyValue   otlp.KeyValue
	Key, Value []byte
	// Plain says that KeyValue is Key and Value as most encoders write them, and
	// nothing else.
	Plain bool

	message []byte
	num     uint32
	tag     byte
	pass    *otlpedit.Pass
}

// Scan returns a Scanner over the attributes in field num, which is below 16, of
// message m. The dictionary is that of the request that p edits.
func Scan(p *otlpedit.Pass, m []byte, num uint32) Scanner {
	return Scanner{message: m, num: num, tag: byte(num<<3 | uint32(wire.TypeBytes)), pass: p}
}

// Next moves to the next attribute. It returns false at the end.
func (s *Scanner) Next() bool {
	b, i := s.message, s.End
	for i < len(b) {
		start := i
		switch tag := b[i]; {
		case tag == s.tag && i+1 < len(b) && b[i+1] < 0x80:
			value := i + 2
			if i = value + int(b[i+1]); i > len(b) {
				return false
			}
			s.Start, s.End, s.KeyValue = start, i, b[value:i:i]
			s.split()
			return true
		case tag < 0x80 && tag&7 == byte(wire.TypeVarint) && i+1 < len(b) && b[i+1] < 0x80:
			i += 2
			continue
		case tag < 0x80 && tag&7 == byte(wire.TypeFixed64):
			i += 1 + 8
			continue
		case tag < 0x80 && tag&7 == byte(wire.TypeFixed32):
			i += 1 + 4
			continue
		case tag < 0x80 && tag != s.tag && tag&7 == byte(wire.TypeBytes) && i+1 < len(b) && b[i+1] < 0x80:
			i += 2 + int(b[i+1])
			continue
		}
		c := wire.Cursor{Buf: b, End: i}
		if !c.Next() {
			return false
		}
		if i = c.End; c.Num == s.num && c.Type == wire.TypeBytes {
			s.Start, s.End, s.KeyValue = start, i, c.Bytes
			s.split()
			return true
		}
	}
	return false
}

// split finds the key and the value.
func (s *Scanner) split() {
	kv := s.KeyValue
	if len(kv) >= 4 && kv[0] == keyTag && kv[1] < 0x80 {
		v := 2 + int(kv[1])
		if v+1 < len(kv) && kv[v] == valueTag {
			size, at := int(kv[v+1]), v+2
			if size >= 0x80 && at < len(kv) && kv[at] < 0x80 {
				size, at = size&0x7f|int(kv[at])<<7, at+1
			}
			if at+size == len(kv) {
				s.Key, s.Value, s.Plain = kv[2:v:v], kv[at:], true
				return
			}
		}
	}
	f := kv.Decode()
	s.Key, s.Value, s.Plain = s.pass.KeyOf(f), f.Value, false
}

// Find returns the value of the first attribute with a key in field num of message m:
// an AnyValue, nil if there is none.
func Find(p *otlpedit.Pass, m []byte, num uint32, key string) (value []byte, found bool) {
	s := Scan(p, m, num)
	for s.Next() {
		if string(s.Key) == key {
			return s.Value, true
		}
	}
	return nil, false
}

// Resolve returns what an AnyValue says. A string that is a reference into the
// dictionary of the request that p edits is returned as a string; those inside of
// lists and maps are empty, as all are without a dictionary.
func Resolve(p *otlpedit.Pass, value []byte) otlp.Value {
	if !p.Signal().Spec().HasDictionary {
		return otlp.AnyValue(value).Resolve(nil)
	}
	u := otlp.AnyValue(value).Value()
	if u.Num != otlpfield.AnyValueStringValueStrindex {
		return otlp.AnyValue(value).Resolve(nil)
	}
	return otlp.AnyValue(wire.AppendBytes(nil, otlpfield.AnyValueStringValue, p.String(int32(u.Scalar)))).Resolve(nil)
}
