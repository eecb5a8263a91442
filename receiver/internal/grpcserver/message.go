package grpcserver

import (
	"encoding/binary"
	"io"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

const (
	// trustedBytes is the maximum that is acquired for a declared length. A
	// longer message acquires more bytes as it arrives, so a client that only
	// declares a length cannot use up the budget of others.
	trustedBytes = 1 << 20
	// pieceBytes is how much of a message is asked for at a time. gRPC grants the
	// client as much window.
	pieceBytes = 1 << 20
)

// source is where a message comes from. fill reads len(p) bytes, with the errors of
// io.ReadFull, and reports them as they arrive (frontend.Request.Arrived).
type source interface {
	admission.Source
	fill(p []byte) error
}

// message is the one message of a request: a flag, four bytes of length, and the
// bytes.
type message struct {
	max      int    // bytes, compressed and decompressed
	encoding string // of the message, empty if it is not compressed
	header   [5]byte
}

// read returns the message as it came, and sees that no other follows. encoding is
// that of messages flagged as compressed.
func (m *message) read(r *frontend.Request, o *Options, encoding string, from source) (*[]byte, *frontend.Refusal) {
	r.StartReading(from)
	body, refused := m.readAll(r, o, encoding, from)
	if late := r.DoneReading(); late != nil {
		bufpool.Put(body)
		return nil, late
	}
	return body, refused
}

func (m *message) readAll(r *frontend.Request, o *Options, encoding string, from source) (*[]byte, *frontend.Refusal) {
	if err := from.fill(m.header[:]); err != nil {
		if err == io.EOF {
			return nil, cardinality("no request message")
		}
		return nil, cutShort(err)
	}
	n := int(binary.BigEndian.Uint32(m.header[1:]))
	r.WireBytes = n
	m.max, m.encoding = o.MaxRequestBytes, encoding
	if refused := m.check(o, m.header[0], n); refused != nil {
		return nil, refused
	}
	body, refused := m.body(r, n, from)
	if refused != nil {
		return nil, refused
	}
	err := from.fill(m.header[:])
	if err == io.EOF {
		r.BodyRead = true
		return body, nil
	}
	bufpool.Put(body)
	if err == nil || err == io.ErrUnexpectedEOF {
		return nil, cardinality("more than one request message")
	}
	return nil, cutShort(err)
}

// check looks at the header of a message of n bytes.
func (m *message) check(o *Options, flag byte, n int) *frontend.Refusal {
	if m.encoding == "identity" || flag == 0 {
		m.encoding = ""
	}
	switch {
	case flag > 1:
		return frontend.Refuse(codes.Internal, obsreport.ReasonDecode, "expected 0 or 1 for the compressed flag of a gRPC message, found %d", flag)
	case flag == 1 && o.NotCompressed != "":
		return frontend.Refuse(codes.Unimplemented, obsreport.ReasonEncoding, "%s", o.NotCompressed)
	case flag == 1 && m.encoding == "":
		return frontend.Refuse(codes.Internal, obsreport.ReasonDecode, "the message is flagged as compressed, and grpc-encoding does not say how")
	case n > m.max:
		refused := frontend.RefuseSize(m.max)
		if o.LimitKey != "" {
			refused.Message += " (" + o.LimitKey + ")"
		}
		return refused
	}
	return nil
}

// body reads n bytes into a buffer that grows as they arrive. Nothing is held for it
// until the first of them has come, unless it is small.
func (m *message) body(r *frontend.Request, n int, from source) (*[]byte, *frontend.Refusal) {
	got := 0
	if n > frontend.SmallBytes {
		if err := from.fill(m.header[:1]); err != nil {
			return nil, cutShort(err)
		}
		got = 1
	}
	r.Begun(int64(n))
	buf, err := r.GetBuffer(0, min(n, trustedBytes))
	if err != nil {
		return nil, frontend.RefuseOverload(err)
	}
	copy(*buf, m.header[:got])
	for {
		to := min(n, len(*buf))
		for got < to {
			piece := min(to-got, pieceBytes)
			if err := from.fill((*buf)[got : got+piece]); err != nil {
				bufpool.Put(buf)
				return nil, cutShort(err)
			}
			got += piece
		}
		if got == n {
			return buf, nil
		}
		larger, err := r.GetBuffer(cap(*buf), min(n, 2*cap(*buf)))
		if err != nil {
			bufpool.Put(buf)
			return nil, frontend.RefuseOverload(err)
		}
		copy(*larger, *buf)
		bufpool.Put(buf)
		buf = larger
		r.Trim(cap(*buf))
	}
}

// decompress undoes the encoding. wire is no longer the caller's.
func (m *message) decompress(r *frontend.Request, wire *[]byte) (*[]byte, *frontend.Refusal) {
	if m.encoding == "" {
		return wire, nil
	}
	out, form, err := decompress.Inspect(m.encoding, nil, *wire, m.max, r)
	if err != nil {
		bufpool.Put(wire)
		return nil, frontend.RefuseBody(err, m.max)
	}
	r.KeepEncoded(wire, form, len(*out))
	return out, nil
}

func cardinality(found string) *frontend.Refusal {
	return frontend.Refuse(codes.Internal, obsreport.ReasonDecode, "expected one request message, found %s", found)
}

// cutShort is the refusal of a message that could not be read. The client may have
// ended the stream as if that were all, or have gone.
func cutShort(err error) *frontend.Refusal {
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return cardinality("a truncated one")
	}
	return frontend.Interrupted(err)
}
