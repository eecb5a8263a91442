package attraction

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"net"
	"strconv"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// maxArenaBytes is how large the memory for new values may be to be kept for the next
// message; less is not reserved.
const maxArenaBytes = 64 << 10

// arena is the memory of the values that are made for one message.
type arena struct{ buf []byte }

// room makes room for n more bytes. What was written before stays where it is.
func (e *Editor) room(n int) error {
	a := &e.arena
	if cap(a.buf)-len(a.buf) >= n {
		return nil
	}
	size := max(n, 2*cap(a.buf), 512)
	if size > maxArenaBytes {
		if err := e.pass.Memory().Reserve(size); err != nil {
			return err
		}
	}
	a.buf = make([]byte, 0, size)
	return nil
}

// text returns an AnyValue that is a string.
func (e *Editor) text(s []byte) ([]byte, error) {
	if err := e.room(1 + binary.MaxVarintLen64 + len(s)); err != nil {
		return nil, err
	}
	begin := len(e.arena.buf)
	e.arena.buf = wire.AppendBytes(e.arena.buf, otlpfield.AnyValueStringValue, s)
	return e.arena.buf[begin:len(e.arena.buf):len(e.arena.buf)], nil
}

// integer returns an AnyValue that is an int.
func (e *Editor) integer(v int64) ([]byte, error) {
	if err := e.room(1 + binary.MaxVarintLen64); err != nil {
		return nil, err
	}
	begin := len(e.arena.buf)
	e.arena.buf = binary.AppendUvarint(append(e.arena.buf, otlpfield.AnyValueIntValue<<3|byte(wire.TypeVarint)), uint64(v))
	return e.arena.buf[begin:len(e.arena.buf):len(e.arena.buf)], nil
}

// double returns an AnyValue that is a double.
func (e *Editor) double(v float64) ([]byte, error) {
	if err := e.room(1 + 8); err != nil {
		return nil, err
	}
	begin := len(e.arena.buf)
	e.arena.buf = binary.LittleEndian.AppendUint64(append(e.arena.buf, otlpfield.AnyValueDoubleValue<<3|byte(wire.TypeFixed64)), math.Float64bits(v))
	return e.arena.buf[begin:len(e.arena.buf):len(e.arena.buf)], nil
}

func (e *Editor) resolve(value []byte) otlp.Value { return attrs.Resolve(e.pass, value) }

// asText returns the text of a value, as convert writes it.
func (e *Editor) asText(v otlp.Value, size int) ([]byte, error) {
	switch v.Kind() {
	case otlp.KindString:
		return v.Text(), nil
	case otlp.KindArray, otlp.KindMap:
		if err := attrs.ReserveText(e.pass, v, size); err != nil {
			return nil, err
		}
	}
	// The longest text of a byte is \u00xx; two bytes may be "":null in a map.
	if err := e.room(6*size + 64); err != nil {
		return nil, err
	}
	begin := len(e.arena.buf)
	e.arena.buf = attrs.AppendText(e.arena.buf, v)
	return e.arena.buf[begin:], nil
}

// hash returns the SHA-256 of a value, in hex: of the text of a string, the content of
// bytes, 8 bytes of a number, one of a bool, the JSON of a list or map. It is the empty
// string for what is not set, and for empty bytes.
func (e *Editor) hash(value []byte) ([]byte, error) {
	var small [8]byte
	var content []byte
	switch v := e.resolve(value); v.Kind() {
	case otlp.KindEmpty:
		return e.text(nil)
	case otlp.KindBytes:
		if content = v.Text(); len(content) == 0 {
			return e.text(nil)
		}
	case otlp.KindString:
		content = v.Text()
	case otlp.KindBool:
		if content = small[:1]; v.Bool() {
			small[0] = 1
		}
	case otlp.KindInt:
		content = small[:]
		binary.LittleEndian.PutUint64(content, uint64(v.Int()))
	case otlp.KindDouble:
		content = small[:]
		binary.LittleEndian.PutUint64(content, math.Float64bits(v.Double()))
	case otlp.KindArray, otlp.KindMap:
		var err error
		if content, err = e.asText(v, len(value)); err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256(content)
	var digits [2 * len(sum)]byte
	hex.Encode(digits[:], sum[:])
	return e.text(digits[:])
}

// hashTimes returns the hash of the hash and so on, n times.
func (e *Editor) hashTimes(value []byte, n int) (hashed []byte, err error) {
	for hashed = value; n > 0 && err == nil; n-- {
		hashed, err = e.hash(hashed)
	}
	return hashed, err
}

// convert returns a value as another type, or as it is if that is not possible.
func (e *Editor) convert(value []byte, to otlp.Kind) ([]byte, error) {
	v := e.resolve(value)
	if v.Kind() == to {
		return value, nil
	}
	if to == otlp.KindString {
		text, err := e.asText(v, len(value))
		if err != nil {
			return nil, err
		}
		return e.text(text)
	}
	var i int64
	var f float64
	var err error
	switch v.Kind() {
	case otlp.KindBool:
		if v.Bool() {
			i, f = 1, 1
		}
	case otlp.KindInt:
		f = float64(v.Int())
	case otlp.KindDouble:
		if f = v.Double(); !(f >= math.MinInt64 && f < math.MaxInt64) {
			return value, nil // no int is the same
		}
		i = int64(f)
	case otlp.KindString:
		if text := string(v.Text()); to == otlp.KindInt {
			i, err = strconv.ParseInt(text, 10, 64)
		} else {
			f, err = strconv.ParseFloat(text, 64)
		}
	default:
		return value, nil
	}
	switch {
	case err != nil:
		return value, nil
	case to == otlp.KindInt:
		return e.integer(i)
	}
	return e.double(f)
}

// extract sets an attribute for each group of the pattern, if it matches the string.
func (e *Editor) extract(s *step) error {
	r := e.first(s.slot)
	if r == nil {
		return nil
	}
	v := e.resolve(r.value)
	if v.Kind() != otlp.KindString {
		return nil
	}
	text := v.Text()
	match := s.pattern.FindSubmatchIndex(text)
	if match == nil {
		return nil
	}
	for i, slot := range s.groups {
		var part []byte
		if at := match[2*i+2]; at >= 0 {
			part = text[at:match[2*i+3]]
		}
		value, err := e.text(part)
		if err != nil {
			return err
		}
		e.set(slot, value)
	}
	return nil
}

// fromContext returns what a key of from_context says about the client of the request.
func fromContext(c *pipeline.Client, key string) (text string, found bool) {
	if c == nil {
		return "", false
	}
	if key == "client.address" {
		host := hostOf(c.Addr)
		return host, host != ""
	}
	if name, ok := strings.CutPrefix(key, "auth."); ok {
		if c.Identity == nil {
			return "", false
		}
		text, found = c.Identity.Attributes[name]
		if !found && name == "subject" {
			text = c.Identity.Subject
			found = text != ""
		}
		return text, found
	}
	values := c.Metadata[strings.ToLower(strings.TrimPrefix(key, "metadata."))]
	return strings.Join(values, ";"), len(values) > 0
}

// hostOf returns the IP address of a client, empty for one of a unix socket.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return host
}
