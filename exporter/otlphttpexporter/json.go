package otlphttpexporter

import (
	"context"
	"fmt"
	"maps"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// jsonSender sends requests in the JSON encoding of OTLP. The text is charged to the
// memory budget like every copy of a batch.
type jsonSender struct{ otlpclient.Sender }

// Send implements otlpclient.Sender.
func (s jsonSender) Send(ctx context.Context, r otlpclient.Request) (otlpclient.Answer, error) {
	text, err := r.Batch.JSON(ctx)
	if err != nil {
		if r.Done != nil {
			r.Done()
		}
		kind := pipeline.Classify(err)
		return otlpclient.Answer{}, &otlpclient.Error{Retryable: kind.Kind != pipeline.Permanent, Throttled: kind.Kind == pipeline.Overloaded,
			RetryAfter: kind.RetryAfter, Code: codes.ResourceExhausted, Err: fmt.Errorf("encode %s as JSON: %w", r.Signal, err)}
	}
	done := r.Done
	r.Bytes, r.Done = text.Bytes, func() {
		text.Release()
		if done != nil {
			done()
		}
	}
	headers := maps.Clone(r.Headers)
	if headers == nil {
		headers = map[string]string{}
	}
	headers["content-type"] = "application/json"
	r.Headers = headers
	return s.Sender.Send(ctx, r)
}
