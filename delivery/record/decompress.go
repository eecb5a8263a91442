package record

import (
	"errors"
	"fmt"
	"math"

	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Reserver bounds the memory of Decompress. *admission.Ticket is one.
type Reserver interface {
	// Reserve reserves total bytes, with those that it was called for before.
	Reserve(total int) error
}

// Decompress decompresses the body of a record with a codec into memory of the pool of
// buffers, which is the caller's: dst if it is large enough, or other memory, with dst given
// back to the pool; dst may be nil. memory is asked before memory is taken, with the
// capacity of all that is in use, Body included; nil bounds nothing. ErrCorrupt means that
// the body is not a request of Plain bytes in the codec.
func (r *Record) Decompress(dst *[]byte, memory Reserver) (*[]byte, error) {
	if r.Plain > math.MaxInt32 {
		return nil, fmt.Errorf("decompress a request of %s: %w: it has %d bytes", r.Signal, ErrCorrupt, r.Plain)
	}
	request, err := decompress.DecompressBytes(r.Codec.String(), dst, r.Body, r.Plain, memory)
	if err == nil && len(*request) != r.Plain {
		err = fmt.Errorf("%w: found %d bytes", decompress.ErrCorrupt, len(*request))
	}
	switch {
	case err == nil:
		return request, nil
	case errors.Is(err, decompress.ErrUnknownEncoding):
		err = ErrUnknownCodec
	case errors.Is(err, decompress.ErrCorrupt), errors.Is(err, decompress.ErrTooLarge):
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil, fmt.Errorf("decompress a request of %s of %d bytes (%s): %w", r.Signal, r.Plain, r.Codec, err)
}

// Request returns the export request: Body, or what it is compressed from, in memory that
// nothing bounds but Plain.
func (r *Record) Request() ([]byte, error) {
	if r.Codec == pipeline.CodecNone {
		return r.Body, nil
	}
	request, err := r.Decompress(nil, nil)
	if err != nil {
		return nil, err
	}
	return *request, nil
}
