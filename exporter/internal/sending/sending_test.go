package sending

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// scripted is a Sender with scripted answers.
type scripted struct {
	answer otlpclient.Answer
	err    error
	hold   chan struct{} // Send waits for it to be closed, if not nil
	inside chan struct{} // gets one for each Send
	keep   func(done func())
	ended  atomic.Int32 // Sends that were held and are let go

	mu     sync.Mutex
	closed int
	once   sync.Once
}

func (s *scripted) Send(_ context.Context, r otlpclient.Request) (otlpclient.Answer, error) {
	if s.inside != nil {
		s.inside <- struct{}{}
	}
	if s.hold != nil {
		<-s.hold
		s.ended.Add(1)
	}
	if s.keep != nil {
		s.keep(r.Done)
	} else {
		r.Done()
	}
	return s.answer, s.err
}

func (s *scripted) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	if s.hold != nil {
		s.once.Do(func() { close(s.hold) })
	}
	return nil
}

func gateway(otlp.Signal) string { return "gateway:4317" }

func newExporter(t *testing.T, s *scripted, set component.Settings) *Exporter {
	t.Helper()
	set.ID = "otlp/2"
	e, err := New(set, gateway, func(...otlpclient.Option) (otlpclient.Sender, error) { return s, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

// spans is a request of n spans: one resource, one scope, n empty messages.
func spans(t *testing.T, n int) *pipeline.Batch {
	t.Helper()
	scope := bytes.Repeat([]byte{0x12, 0}, n)
	resource := append([]byte{0x12, byte(len(scope))}, scope...)
	b, err := pipeline.NewBatch(otlp.Traces, append([]byte{0x0a, byte(len(resource))}, resource...), nil)
	if err != nil || b.Items() != n {
		t.Fatalf("%d spans: %v", n, err)
	}
	return b
}

func TestConsumeTranslates(t *testing.T) {
	t.Parallel()
	cause := errors.New("no")
	for name, c := range map[string]struct {
		answer       otlpclient.Answer
		err          error
		want         *pipeline.Error
		sent, failed int64
	}{
		"taken":         {want: nil, sent: 5},
		"remark":        {answer: otlpclient.Answer{Message: "x"}, sent: 5},
		"partial":       {answer: otlpclient.Answer{Rejected: 2, Message: "x"}, want: &pipeline.Error{Kind: pipeline.Partial, Rejected: 2}, sent: 3, failed: 2},
		"more than all": {answer: otlpclient.Answer{Rejected: 1 << 40}, want: &pipeline.Error{Kind: pipeline.Partial, Rejected: 5}, failed: 5},
		"retry": {err: &otlpclient.Error{Retryable: true, Code: codes.Unavailable, Err: cause},
			want: &pipeline.Error{Kind: pipeline.Retryable, Code: 14}, failed: 5},
		"overloaded": {err: &otlpclient.Error{Retryable: true, Throttled: true, RetryAfter: time.Minute, Code: codes.ResourceExhausted, Err: cause},
			want: &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: time.Minute, Code: 8}, failed: 5},
		"permanent": {err: &otlpclient.Error{Code: codes.InvalidArgument, Err: cause},
			want: &pipeline.Error{Kind: pipeline.Permanent, Code: 3}, failed: 5},
		"of no kind": {err: cause, want: &pipeline.Error{Kind: pipeline.Retryable}, failed: 5},
	} {
		meter := testkit.NewMeter()
		e := newExporter(t, &scripted{answer: c.answer, err: c.err}, component.Settings{Meter: meter})
		b := spans(t, 5)
		err := e.Consume(t.Context(), b)
		b.Release()
		var got *pipeline.Error
		if err != nil {
			got = &pipeline.Error{}
			*got = *pipeline.Classify(err)
			if c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("%s: the cause is lost: %v", name, err)
			}
			got.Err = nil
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if n := meter.Sum(t, "otelcol_exporter_send_attempts"); n != 1 {
			t.Errorf("%s: %d attempts", name, n)
		}
		if meter.Sum(t, "otelcol_exporter_sent_spans") != c.sent || meter.Sum(t, "otelcol_exporter_send_failed_spans") != c.failed {
			t.Errorf("%s: counted %v, want %d sent, %d failed", name, meter.Sums(t), c.sent, c.failed)
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A sender that still reads after Send has returned keeps the batch alive, and
// keeps others from writing to it.
func TestConsumeLendsUntilDone(t *testing.T) {
	t.Parallel()
	var done func()
	e := newExporter(t, &scripted{keep: func(d func()) { done = d }}, component.Settings{})
	b := spans(t, 1)
	if err := e.Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Edit(); !errors.Is(err, pipeline.ErrShared) {
		t.Errorf("bytes that are being sent can be edited: %v", err)
	}
	b.Release()
	if b.Bytes() == nil {
		t.Error("the batch was released under the sender")
	}
	done()
	if b.Bytes() != nil {
		t.Error("the batch was not released after the sender")
	}
	e.Shutdown(t.Context())
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	b := spans(t, 1)
	defer b.Release()
	expect := func(e *Exporter, cause error) {
		t.Helper()
		err := e.Consume(t.Context(), b)
		if !errors.Is(err, cause) || pipeline.Classify(err).Kind != pipeline.Retryable {
			t.Errorf("got %v, want a retryable %v", err, cause)
		}
	}
	opened := 0
	s := &scripted{}
	e, err := New(component.Settings{ID: "otlp/2"}, gateway, func(...otlpclient.Option) (otlpclient.Sender, error) { opened++; return s, nil })
	if err != nil {
		t.Fatal(err)
	}
	if e.Name() != "otlp/2" || e.Capabilities().MutatesData || opened != 0 {
		t.Errorf("name %q, capabilities %+v, opened %d times", e.Name(), e.Capabilities(), opened)
	}
	expect(e, errNotStarted)
	for range 2 {
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Consume(t.Context(), b); err != nil || opened != 1 {
		t.Errorf("started twice: %v, opened %d times", err, opened)
	}
	for range 2 {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if s.closed != 1 {
		t.Errorf("closed %d times", s.closed)
	}
	expect(e, errShutDown)
	if err := e.Start(t.Context()); !errors.Is(err, lifecycle.ErrShutDown) {
		t.Errorf("started after the end: %v", err)
	}

	never, err := New(component.Settings{}, gateway, func(...otlpclient.Option) (otlpclient.Sender, error) { return s, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := never.Shutdown(t.Context()); err != nil {
		t.Errorf("shut down without a start: %v", err)
	}

	broken, err := New(component.Settings{ID: "x"}, gateway, func(...otlpclient.Option) (otlpclient.Sender, error) { return nil, os.ErrNotExist })
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := broken.Start(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), `start exporter "x"`) {
			t.Errorf("got %v", err)
		}
	}
	expect(broken, errNotStarted)
	if err := broken.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Shutdown waits for requests in progress, and no longer than its context.
func TestShutdownDrains(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		s := &scripted{hold: make(chan struct{}), inside: make(chan struct{}, 1)}
		e := newExporter(t, s, component.Settings{})
		consumed := make(chan error, 1)
		go func() {
			b := spans(t, 1)
			defer b.Release()
			consumed <- e.Consume(context.Background(), b)
		}()
		<-s.inside
		ctx, cancel := context.WithCancel(t.Context())
		down := make(chan error, 1)
		go func() { down <- e.Shutdown(ctx) }()
		select {
		case err := <-down:
			t.Fatalf("shut down during a request: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		if late {
			cancel() // Close lets the request go
		} else {
			s.once.Do(func() { close(s.hold) })
		}
		if err := <-down; late != errors.Is(err, context.Canceled) {
			t.Errorf("late %t: %v", late, err)
		}
		if s.ended.Load() != 1 {
			t.Error("Shutdown returned before the request did")
		}
		<-consumed
		cancel()
	}
}

// What a destination keeps saying is logged once a minute.
func TestRemarksAreLimited(t *testing.T) {
	t.Parallel()
	var log testkit.Log
	e := newExporter(t, &scripted{answer: otlpclient.Answer{Message: "deprecated"}},
		component.Settings{Logger: log.Logger()})
	b := spans(t, 1)
	defer b.Release()
	for range 10 {
		if err := e.Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "message=deprecated"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
	e.remarkEvery = 0 // as if a minute had passed
	e.Consume(t.Context(), b)
	if n := strings.Count(log.String(), "message=deprecated"); n != 2 {
		t.Errorf("logged %d times in two minutes", n)
	}
	e.Shutdown(t.Context())
}

// A failing backend is logged immediately, and then every ten seconds with the
// number of failures since. The error that the client got is logged too.
func TestFailuresAreLoggedNowAndThen(t *testing.T) {
	t.Parallel()
	for answer, cause := range map[string]*otlpclient.Error{
		`answer_to_client=retry`:               {Retryable: true, Err: errors.New("send traces to backend:4317: refused")},
		`answer_to_client="permanent failure"`: {Err: errors.New("send traces to backend:4317: refused")},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log testkit.Log
			e := newExporter(t, &scripted{err: cause}, component.Settings{Logger: log.Logger()})
			b := spans(t, 1)
			defer b.Release()
			for range 25 { // at 0 s, 1 s, ... 24 s
				if err := e.Consume(t.Context(), b); !errors.Is(err, cause) {
					t.Fatalf("the sender got %v", err)
				}
				time.Sleep(time.Second)
			}
			var got []string
			for _, line := range log.Lines("") {
				if !strings.Contains(line, `level=WARN msg="send failed (logged at most once in 10s)" signal=traces `+
					`error="send traces to backend:4317: refused" `+answer) {
					t.Errorf("unexpected line %s", line)
				}
				_, failures, _ := strings.Cut(line, "failures=")
				got = append(got, failures)
			}
			if diff := cmp.Diff([]string{"1", "10", "10"}, got); diff != "" {
				t.Errorf("failures logged (-want +got):\n%s", diff)
			}
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestIgnored(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, c := range []struct {
		queue config.SendingQueue
		want  []string
	}{
		{config.SendingQueue{}, nil},
		{config.DefaultSendingQueue(), nil},
		{config.SendingQueue{Enabled: true, WaitForResult: &yes}, nil},
		{config.SendingQueue{Enabled: true, Storage: "s", WaitForResult: &no}, nil},
		{config.SendingQueue{Enabled: true, Storage: "s", WaitForResult: &yes}, []string{"sending_queue.wait_for_result has no effect"}},
		{config.SendingQueue{Storage: "s", WaitForResult: &yes}, nil},
	} {
		got := Ignored(c.queue, []string{"cookies"})
		want := append(c.want, "cookies has no effect")
		if len(got) != len(want) {
			t.Errorf("%+v: %q, want %q", c.queue, got, want)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%+v: %q, want %q", c.queue, got, want)
			}
		}
	}
}
