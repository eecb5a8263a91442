package pipeline

import "context"

type requestIDKey struct{}

// WithRequestID returns a context for a Consume whose batch has an id: the same whenever
// the same is sent again, and that of no other batch. An exporter may pass it on, so that
// a destination recognises what it has already.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that the batch of a Consume has; "" if it has none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
