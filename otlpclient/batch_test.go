package otlpclient

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var errCause = errors.New("no")

// refusals are errors of Send and the errors that a pipeline gets.
var refusals = map[string]struct {
	err  error
	want pipeline.Error
}{
	"retry":      {&Error{Retryable: true, Code: codes.Unavailable, Err: errCause}, pipeline.Error{Kind: pipeline.Retryable, Code: 14}},
	"overloaded": {&Error{Retryable: true, Throttled: true, RetryAfter: time.Minute, Err: errCause}, pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: time.Minute}},
	"permanent":  {&Error{Code: codes.InvalidArgument, Err: errCause}, pipeline.Error{Kind: pipeline.Permanent, Code: 3}},
	"throttled for good": {&Error{Throttled: true, Code: codes.ResourceExhausted, Err: errCause},
		pipeline.Error{Kind: pipeline.Permanent, Code: 8}},
	"wrapped": {fmt.Errorf("x: %w", &Error{Code: codes.Internal, Err: errCause}), pipeline.Error{Kind: pipeline.Permanent, Code: 13}},
}

// A pipeline understands errors of Send as they are.
func TestRefusal(t *testing.T) {
	t.Parallel()
	for name, c := range refusals {
		got := *pipeline.Classify(c.err)
		if !errors.Is(got.Err, errCause) {
			t.Errorf("%s: the errCause is lost: %v", name, got.Err)
		}
		got.Err = nil
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	var other *time.ParseError
	if errors.As(&Error{Err: errCause}, &other) {
		t.Error("an Error is found as an error of another type")
	}
}

// scripted is a Sender with scripted answers.
type scripted struct {
	answer Answer
	err    error
	done   func()
}

func (s *scripted) Send(_ context.Context, r Request) (Answer, error) {
	s.done = r.Done
	return s.answer, s.err
}

func (*scripted) Close() error { return nil }

// batch is a request of one resource and n spans that are empty.
func batch(t *testing.T, n int) *pipeline.Batch {
	t.Helper()
	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	ss := rs.AddScopeSpans()
	for range n {
		ss.AddSpans().Close()
	}
	ss.Close()
	rs.Close()
	b, err := pipeline.NewBatch(otlp.Traces, e.Buf, nil)
	if err != nil || b.Items() != n {
		t.Fatalf("%d spans: %v", n, err)
	}
	return b
}

func TestConsumer(t *testing.T) {
	t.Parallel()
	type script struct {
		answer Answer
		err    error
		want   *pipeline.Error
	}
	cases := map[string]script{
		"taken":         {},
		"remark":        {answer: Answer{Message: "deprecated"}},
		"partial":       {answer: Answer{Rejected: 2, Message: "old"}, want: &pipeline.Error{Kind: pipeline.Partial, Rejected: 2}},
		"more than all": {answer: Answer{Rejected: 1 << 40}, want: &pipeline.Error{Kind: pipeline.Partial, Rejected: 5}},
		"of no kind":    {err: errCause, want: &pipeline.Error{Kind: pipeline.Retryable}},
	}
	for name, c := range refusals {
		cases[name] = script{err: c.err, want: &c.want}
	}
	for name, c := range cases {
		s := &scripted{answer: c.answer, err: c.err}
		b := batch(t, 5)
		err := NewConsumer(s).Consume(t.Context(), b)
		got := pipeline.Classify(err)
		if got != nil {
			if c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("%s: the errCause is lost: %v", name, err)
			}
			got = &pipeline.Error{Kind: got.Kind, RetryAfter: got.RetryAfter, Rejected: got.Rejected, Code: got.Code}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		b.Release()
		if b.Bytes() == nil {
			t.Errorf("%s: the batch was released while the sender may read it", name)
		}
		if s.done(); b.Bytes() != nil {
			t.Errorf("%s: the batch was not released after the sender", name)
		}
	}
}
