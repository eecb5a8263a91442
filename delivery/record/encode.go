package record

import (
	"encoding/binary"
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// version is the first byte of a record.
const version = 1

// The field numbers of the messages in doc.go.
const (
	fieldSignal   = 1
	fieldCodec    = 2
	fieldItems    = 3
	fieldReceived = 4
	fieldClient   = 5
	fieldPlain    = 6
	fieldSeveral  = 7
	fieldBody     = 15

	fieldAddr      = 1
	fieldTransport = 2
	fieldFormat    = 3
	fieldIdentity  = 4
	fieldMetadata  = 5

	fieldSubject   = 1
	fieldAttribute = 2

	fieldKey   = 1
	fieldValue = 2
)

// Append appends a record to dst. It allocates nothing if dst has room.
func Append(dst []byte, r *Record, keep Keep) ([]byte, error) {
	dst, err := AppendHeader(dst, r, keep)
	if err != nil {
		return dst, err
	}
	return append(dst, r.Body...), nil
}

// AppendHeader appends all of a record but the body, whose bytes follow. After an
// error dst is what it was.
func AppendHeader(dst []byte, r *Record, keep Keep) ([]byte, error) {
	if !r.Signal.Valid() || r.Items < 0 || r.Plain < 0 {
		return dst, fmt.Errorf("write a record of %d items of signal %d: %w", r.Items, r.Signal, ErrCorrupt)
	}
	before := len(dst)
	e := wire.Encoder{Buf: append(dst, version)}
	e.Varint(fieldSignal, uint64(r.Signal))
	if r.Codec != pipeline.CodecNone {
		e.Varint(fieldCodec, uint64(r.Codec))
	}
	e.Varint(fieldItems, uint64(r.Items))
	if !r.Received.IsZero() {
		e.Fixed64(fieldReceived, uint64(r.Received.UnixNano()))
	}
	if r.Client != nil {
		mark := e.Open(fieldClient)
		entries := appendClient(&e, r.Client, keep)
		e.Close(mark)
		if n := len(e.Buf) - before; n > MaxHeaderBytes-16 || entries > maxEntries {
			return dst, fmt.Errorf("write a record of %s: %w: %d bytes and %d entries of the client, at most %d and %d",
				r.Signal, ErrTooLarge, n, entries, MaxHeaderBytes, maxEntries)
		}
	}
	if r.Codec != pipeline.CodecNone && r.Plain > 0 {
		e.Varint(fieldPlain, uint64(r.Plain))
	}
	if r.Codec != pipeline.CodecNone && !r.Single {
		e.Varint(fieldSeveral, 1)
	}
	return appendBodyHead(e.Buf, len(r.Body)), nil
}

// appendBodyHead appends what is in front of a body of n bytes.
func appendBodyHead(dst []byte, n int) []byte {
	return binary.AppendUvarint(wire.AppendTag(dst, fieldBody, wire.TypeBytes), uint64(n))
}

func appendClient(e *wire.Encoder, c *pipeline.Client, keep Keep) (entries int) {
	optional(e, fieldAddr, c.Addr)
	optional(e, fieldTransport, c.Transport)
	optional(e, fieldFormat, c.Format)
	if c.Identity != nil {
		mark := e.Open(fieldIdentity)
		optional(e, fieldSubject, c.Identity.Subject)
		for _, key := range keep.attributes {
			if value, ok := c.Identity.Attributes[key]; ok {
				entry := e.Open(fieldAttribute)
				e.String(fieldKey, key)
				e.String(fieldValue, value)
				e.Close(entry)
				entries += 2
			}
		}
		e.Close(mark)
	}
	for _, key := range keep.metadata {
		values := c.Metadata[key]
		if len(values) == 0 {
			continue
		}
		entry := e.Open(fieldMetadata)
		e.String(fieldKey, key)
		for _, value := range values {
			e.String(fieldValue, value)
		}
		e.Close(entry)
		entries += 1 + len(values)
	}
	return entries
}

func optional(e *wire.Encoder, field uint32, s string) {
	if s != "" {
		e.String(field, s)
	}
}
