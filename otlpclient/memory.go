package otlpclient

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/pipeline"
)

// memory is where a copy of a request is written to, such as its compressed form. It is
// charged to the admission ticket of the request's batch, if there is one, before it is
// allocated.
type memory struct {
	ctx   context.Context
	batch *pipeline.Batch  // nil: charged to nothing
	buf   *pipeline.Buffer // nil: nothing yet
}

// minMemory is the smallest copy: gRPC counts the readers of a buffer only if it is
// larger than a KiB.
const minMemory = 2 << 10

// grow implements compress.Grow.
func (m *memory) grow(dst []byte, n int) (_ []byte, err error) {
	switch {
	case m.buf != nil:
		m.buf.Bytes = dst
		err = m.buf.Grow(m.ctx, n)
	case m.batch == nil:
		m.buf = pipeline.NewBuffer(max(n, minMemory))
	default:
		m.buf, err = m.batch.NewBuffer(m.ctx, max(n, minMemory))
	}
	if err != nil {
		return nil, err
	}
	return m.buf.Bytes, nil
}

// release gives the memory back.
func (m *memory) release() {
	if m.buf != nil {
		m.buf.Release()
	}
}

// notCopied returns the error of Send for a request that could not be copied or
// compressed: there may be no room for it, or ctx has ended, which err has the cause of.
func notCopied(ctx context.Context, err error) *Error {
	var p *pipeline.Error
	switch {
	case errors.As(err, &p):
		return &Error{Retryable: p.Kind != pipeline.Permanent, Throttled: p.Kind == pipeline.Overloaded,
			RetryAfter: p.RetryAfter, Code: codes.ResourceExhausted, Err: err}
	case ctx.Err() != nil:
		return &Error{Retryable: true, Code: status.FromContextError(ctx.Err()).Code(), Err: err}
	}
	return &Error{Code: codes.Internal, Err: err}
}
