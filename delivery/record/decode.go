package record

import (
	"fmt"
	"math"
	"time"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Decode reads a record. Body is a part of b; everything else is copied. Fields that
// it does not know are skipped.
func Decode(b []byte) (Record, error) {
	r, err := decode(b)
	if err != nil {
		return Record{}, fmt.Errorf("read a record: %w", err)
	}
	return r, nil
}

// DecodeHeader reads a record whose header, of AppendHeader, and body are apart.
func DecodeHeader(header, body []byte) (Record, error) {
	end := len(header) - len(appendBodyHead(nil, len(body)))
	if end < 1 {
		return Record{}, fmt.Errorf("read a record: %w: it has no body", ErrCorrupt)
	}
	r, err := decodeFields(header[:end], body, true)
	if err != nil {
		return Record{}, fmt.Errorf("read a record: %w", err)
	}
	return r, nil
}

func decode(b []byte) (r Record, err error) { return decodeFields(b, nil, false) }

// decodeFields reads fields. With found the body is not among them.
func decodeFields(b, body []byte, found bool) (r Record, err error) {
	r.Body, r.Single = body, true
	switch {
	case len(b) == 0:
		return r, fmt.Errorf("%w: it is empty", ErrCorrupt)
	case b[0] != version:
		return r, fmt.Errorf("%w: found %d, expected %d", ErrVersion, b[0], version)
	}
	var d decoder
	c := wire.Cursor{Buf: b[1:]}
	for c.Next() {
		switch {
		case c.Num == fieldSignal && c.Type == wire.TypeVarint && c.Scalar <= math.MaxUint8:
			r.Signal = otlp.Signal(c.Scalar)
		case c.Num == fieldCodec && c.Type == wire.TypeVarint && c.Scalar <= math.MaxUint8:
			r.Codec = pipeline.Codec(c.Scalar)
		case c.Num == fieldItems && c.Type == wire.TypeVarint && c.Scalar <= math.MaxInt:
			r.Items = int(c.Scalar)
		case c.Num == fieldReceived && c.Type == wire.TypeFixed64:
			r.Received = time.Unix(0, int64(c.Scalar)).UTC()
		case c.Num == fieldClient && c.Type == wire.TypeBytes:
			if r.Client == nil {
				r.Client = &pipeline.Client{}
			}
			err = d.client(r.Client, c.Bytes)
		case c.Num == fieldPlain && c.Type == wire.TypeVarint && c.Scalar <= math.MaxInt:
			r.Plain = int(c.Scalar)
		case c.Num == fieldSeveral && c.Type == wire.TypeVarint && c.Scalar <= 1:
			r.Single = c.Scalar == 0
		case c.Num == fieldBody && c.Type == wire.TypeBytes:
			r.Body, found = c.Bytes, true
		case c.Num <= fieldSeveral || c.Num == fieldBody:
			err = fmt.Errorf("field %d has the wrong type or value", c.Num)
		}
		if err != nil {
			return r, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	switch {
	case c.Err != nil:
		return r, fmt.Errorf("%w: %w", ErrCorrupt, c.Err)
	case !r.Signal.Valid():
		return r, fmt.Errorf("%w: unknown signal %d", ErrCorrupt, r.Signal)
	case !found:
		return r, fmt.Errorf("%w: it has no body", ErrCorrupt)
	}
	if r.Codec == pipeline.CodecNone {
		r.Plain, r.Single = 0, false
	}
	if r.Client != nil {
		r.Client.Received = r.Received
	}
	return r, nil
}

// decoder counts what it copies of a client.
type decoder struct {
	bytes   int
	entries int // keys and values
}

// take accounts for one text.
func (d *decoder) take(b []byte) (string, error) {
	d.bytes += len(b)
	if d.bytes > MaxHeaderBytes || d.entries > maxEntries {
		return "", ErrTooLarge
	}
	return string(b), nil
}

func (d *decoder) client(to *pipeline.Client, b []byte) (err error) {
	c := wire.Cursor{Buf: b}
	for c.Next() && err == nil {
		if c.Type != wire.TypeBytes {
			continue
		}
		switch c.Num {
		case fieldAddr:
			to.Addr, err = d.take(c.Bytes)
		case fieldTransport:
			to.Transport, err = d.take(c.Bytes)
		case fieldFormat:
			to.Format, err = d.take(c.Bytes)
		case fieldIdentity:
			if to.Identity == nil {
				to.Identity = &pipeline.Identity{}
			}
			err = d.identity(to.Identity, c.Bytes)
		case fieldMetadata:
			err = d.entry(c.Bytes, func(key, value string) {
				if to.Metadata == nil {
					to.Metadata = map[string][]string{}
				}
				to.Metadata[key] = append(to.Metadata[key], value)
			})
		}
	}
	if err == nil {
		err = c.Err
	}
	return err
}

func (d *decoder) identity(to *pipeline.Identity, b []byte) (err error) {
	c := wire.Cursor{Buf: b}
	for c.Next() && err == nil {
		switch {
		case c.Num == fieldSubject && c.Type == wire.TypeBytes:
			to.Subject, err = d.take(c.Bytes)
		case c.Num == fieldAttribute && c.Type == wire.TypeBytes:
			err = d.entry(c.Bytes, func(key, value string) {
				if to.Attributes == nil {
					to.Attributes = map[string]string{}
				}
				to.Attributes[key] = value
			})
		}
	}
	if err == nil {
		err = c.Err
	}
	return err
}

// entry calls add for each value of a key. The key comes first.
func (d *decoder) entry(b []byte, add func(key, value string)) (err error) {
	key := ""
	c := wire.Cursor{Buf: b}
	for c.Next() && err == nil {
		if c.Type != wire.TypeBytes {
			continue
		}
		d.entries++
		switch c.Num {
		case fieldKey:
			key, err = d.take(c.Bytes)
		case fieldValue:
			var value string
			if value, err = d.take(c.Bytes); err == nil {
				add(key, value)
			}
		}
	}
	if err == nil {
		err = c.Err
	}
	return err
}
