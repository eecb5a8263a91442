package refusal_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/refusal"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestOf(t *testing.T) {
	t.Parallel()
	if got := refusal.Of(nil); got != nil {
		t.Errorf("no error became %v", got)
	}
	cause := errors.New("no")
	for name, c := range map[string]struct {
		err  error
		want pipeline.Error
	}{
		"retry":      {&otlpclient.Error{Retryable: true, Code: codes.Unavailable, Err: cause}, pipeline.Error{Kind: pipeline.Retryable, Code: 14}},
		"overloaded": {&otlpclient.Error{Retryable: true, Throttled: true, RetryAfter: time.Minute, Err: cause}, pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: time.Minute}},
		"permanent":  {&otlpclient.Error{Code: codes.InvalidArgument, Err: cause}, pipeline.Error{Kind: pipeline.Permanent, Code: 3}},
		"throttled for good": {&otlpclient.Error{Throttled: true, Code: codes.ResourceExhausted, Err: cause},
			pipeline.Error{Kind: pipeline.Permanent, Code: 8}},
		"wrapped":    {fmt.Errorf("x: %w", &otlpclient.Error{Code: codes.Internal, Err: cause}), pipeline.Error{Kind: pipeline.Permanent, Code: 13}},
		"of no kind": {cause, pipeline.Error{Kind: pipeline.Retryable}},
	} {
		got := *refusal.Of(c.err)
		if !errors.Is(got.Err, cause) {
			t.Errorf("%s: the cause is lost: %v", name, got.Err)
		}
		got.Err = nil
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
