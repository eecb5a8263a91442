package fileexporter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Requests reads the requests of a file in any format that the exporter writes: lines
// of JSON, or records with a length, compressed or not. It finds out which one it is.
type Requests struct {
	src     *bufio.Reader
	records *Reader // nil: lines
	most    int
	signal  otlp.Signal
	offset  int64
	number  int
	wire    []byte
}

// NewRequests returns a reader of src. Requests in protobuf do not say of which signal
// they are: signal does, or, if it is 0, the first request does if only one is possible.
// A request may have at most maxBytes.
func NewRequests(src io.Reader, signal otlp.Signal, maxBytes int) (*Requests, error) {
	r := &Requests{src: bufio.NewReaderSize(src, 1<<20), most: maxBytes, signal: signal}
	head, err := r.src.Peek(prefixBytes + len(zstdMagic))
	switch {
	case errors.Is(err, io.EOF) && len(head) == 0:
		return r, nil
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case head[0] == '{':
		return r, nil
	case bytes.HasSuffix(head, zstdMagic):
		r.records, err = NewZstdReader(r.src, maxBytes)
		return r, err
	}
	r.records = NewReader(r.src, maxBytes)
	return r, nil
}

// Offset returns how many bytes of the file have been read.
func (r *Requests) Offset() int64 {
	if r.records != nil {
		return r.records.Offset()
	}
	return r.offset
}

// Next returns the next request in protobuf, which is valid until the next call, and
// io.EOF after the last one.
func (r *Requests) Next() (otlp.Signal, []byte, error) {
	record, err := r.record()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			err = fmt.Errorf("read record %d: %w", r.number+1, err)
		}
		return 0, nil, err
	}
	r.number++
	s, wire, err := r.decode(record)
	if err != nil {
		err = fmt.Errorf("decode record %d: %w", r.number, err)
	}
	return s, wire, err
}

// record returns the next record or line that is not empty.
func (r *Requests) record() ([]byte, error) {
	if r.records != nil {
		return r.records.Next()
	}
	for {
		line, err := r.line()
		if line = bytes.TrimSpace(line); len(line) > 0 || err != nil {
			if len(line) > 0 && errors.Is(err, io.EOF) {
				err = nil // the last line without an end
			}
			return line, err
		}
	}
}

func (r *Requests) line() (line []byte, err error) {
	for {
		piece, err := r.src.ReadSlice('\n')
		r.offset += int64(len(piece))
		if len(line)+len(piece) > r.most {
			return nil, fmt.Errorf("a line of more than %d bytes", r.most)
		}
		line = append(line, piece...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// written is what the exporter may have written: what any receiver accepts.
var written = otlp.Limits{Depth: otlp.MaxDepth}

func (r *Requests) decode(record []byte) (otlp.Signal, []byte, error) {
	if len(record) == 0 || record[0] != '{' {
		s, err := r.signalOf(record)
		return s, record, err
	}
	s := signalOfJSON(record)
	if s == 0 {
		return 0, nil, errors.New("JSON that is not a request of traces, metrics, logs or profiles")
	}
	if n := otlp.MaxWireBytes(len(record)); cap(r.wire) < n {
		r.wire = make([]byte, 0, n)
	}
	wire, _, err := written.DecodeJSON(context.Background(), r.wire[:0], s, record)
	return s, wire, err
}

// signalOfJSON returns the signal whose field the text begins with, 0 if there is none.
func signalOfJSON(text []byte) otlp.Signal {
	for _, s := range otlp.Signals() {
		_, unknown, err := written.DecodeJSON(context.Background(), nil, s, text)
		if unknown.End == 0 && (err == nil || errors.Is(err, otlp.ErrShortBuffer)) {
			return s
		}
		if other := unknown.Signal(text); other.Valid() {
			return other
		}
	}
	return 0
}

// signalOf returns the signal of a request in protobuf.
func (r *Requests) signalOf(request []byte) (otlp.Signal, error) {
	if r.signal.Valid() {
		_, err := written.Check(r.signal, request)
		return r.signal, err
	}
	var found []otlp.Signal
	for _, s := range otlp.Signals() {
		if items, err := written.Check(s, request); err == nil && items > 0 {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("protobuf that could be a request of %v: say of which signal it is", found)
	}
	r.signal = found[0]
	return r.signal, nil
}
