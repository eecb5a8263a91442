package otlpclient

import (
	"context"
	"fmt"

	"github.com/penstock-telemetry/penstock/pipeline"
)

// SendBatch sends the bytes of b, as they are, with s. It keeps a reference of its
// own to b until the transport no longer reads them, which may be after the return.
// The error is that of Send.
func SendBatch(ctx context.Context, s Sender, b *pipeline.Batch) (Answer, error) {
	return s.Send(ctx, RequestOf(b))
}

// RequestOf returns a request of the bytes of b, which has a reference of its own to b
// until its Done is called.
func RequestOf(b *pipeline.Batch) Request {
	return Request{Signal: b.Signal(), Bytes: b.Bytes(), Done: b.Retain().Release, Batch: b}
}

// NewConsumer returns a consumer that sends each batch with s and waits for the
// answer. nil means that the destination has taken the whole batch; pipeline.Classify
// explains any other answer. s stays the caller's to close.
func NewConsumer(s Sender) pipeline.Consumer { return consumer{s} }

type consumer struct{ sender Sender }

// Capabilities implements pipeline.Consumer: bytes are sent as they are.
func (c consumer) Capabilities() pipeline.Capabilities {
	if s, ok := c.sender.(interface{ Capabilities() pipeline.Capabilities }); ok {
		return s.Capabilities()
	}
	return pipeline.Capabilities{}
}

// Consume implements pipeline.Consumer.
func (c consumer) Consume(ctx context.Context, b *pipeline.Batch) error {
	answer, err := SendBatch(ctx, c.sender, b)
	if err != nil {
		return err
	}
	if refusal := answer.Refusal(b.Items()); refusal != nil {
		return refusal
	}
	return nil
}

// Refusal translates an answer to a request of some items into a pipeline's terms:
// nil if all were taken, else a partial success with at most that many rejected.
func (a Answer) Refusal(items int) *pipeline.Error {
	if a.Rejected <= 0 {
		return nil
	}
	return &pipeline.Error{Kind: pipeline.Partial, Rejected: min(a.Rejected, int64(items)),
		Err: fmt.Errorf("the destination says %q", a.Message)}
}

// Refusal translates e into a pipeline's terms. Its Err is e.
func (e *Error) Refusal() *pipeline.Error {
	r := &pipeline.Error{Kind: pipeline.Retryable, RetryAfter: e.RetryAfter, Code: uint32(e.Code), Err: e}
	switch {
	case !e.Retryable:
		r.Kind = pipeline.Permanent
	case e.Throttled:
		r.Kind = pipeline.Overloaded
	}
	return r
}

// As makes errors.As, and with it pipeline.Classify, find e.Refusal() where a
// *pipeline.Error is asked for. So a consumer can return an error of Send as it is.
func (e *Error) As(target any) bool {
	to, ok := target.(**pipeline.Error)
	if ok {
		*to = e.Refusal()
	}
	return ok
}
