package delivery

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// request is a request of metrics with n gauges of one data point each.
func request(n int) []byte {
	var metrics []byte
	for range n {
		metrics = append(metrics, 0x12, 4, 0x2a, 2, 0x0a, 0) // metrics: {gauge: {data_points: {}}}
	}
	scope := append([]byte{0x12, byte(len(metrics))}, metrics...)
	return append([]byte{0x0a, byte(len(scope))}, scope...)
}

func onGRPC(t *testing.T, b *testkit.Backend) otlpclient.Sender {
	t.Helper()
	cfg := config.DefaultGRPCClient()
	cfg.Endpoint, cfg.TLS.Insecure = b.GRPCEndpoint(), true
	c, err := otlpclient.NewGRPC(cfg, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func onHTTP(t *testing.T, b *testkit.Backend) otlpclient.Sender {
	t.Helper()
	cfg := config.DefaultHTTPClient()
	cfg.Endpoint, cfg.Timeout = b.HTTPEndpoint(), time.Minute
	c, err := otlpclient.NewHTTP(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// metrics is a request of n data points and some items.
func metrics(t *testing.T, points int, items int64) Request {
	t.Helper()
	b, err := pipeline.NewBatch(otlp.Metrics, request(points), nil)
	if err != nil {
		t.Fatal(err)
	}
	return Request{Batch: b, Items: items}
}

// deliver sends one request of 10 items in 5 data points and returns what became of
// it, and what was logged.
func deliver(t *testing.T, next pipeline.Consumer) (Stats, *testkit.Log) {
	t.Helper()
	log := &testkit.Log{}
	q := New(Config{Next: next, InitialBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond, Logger: log.Logger()})
	q.Start()
	q.Add(metrics(t, 5, 10))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	q.Shutdown(ctx)
	a := q.Stats(otlp.Metrics)
	balanced(t, a)
	return a, log
}

var (
	taken   = Stats{Added: 10, Delivered: 10}
	again   = Stats{Added: 10, Delivered: 10, Retries: 1}
	refused = Stats{Added: 10, Dropped: [NumReasons]int64{Refused: 10}}
)

// What each gRPC code does (OTLP specification, "Failures" of OTLP/gRPC).
func TestToSenderGRPCCodes(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	next := ToSender(onGRPC(t, b))
	retried := map[codes.Code]bool{codes.Canceled: true, codes.DeadlineExceeded: true, codes.Aborted: true,
		codes.OutOfRange: true, codes.Unavailable: true, codes.DataLoss: true}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		want := refused
		if retried[code] {
			want = again
		}
		b.Script(testkit.Answer{Code: code, Message: "mind the gap"})
		got, log := deliver(t, next)
		if got != want {
			t.Errorf("%s: %+v, want %+v", code, got, want)
		}
		if retried[code] {
			continue
		}
		lines := log.Lines("reason=refused")
		if len(lines) != 1 || !strings.Contains(lines[0], "mind the gap") ||
			strings.Contains(lines[0], "is the metrics signal switched on there?") != (code == codes.Unimplemented) {
			t.Errorf("%s: %q", code, lines)
		}
	}
	b.Script(testkit.Answer{Code: codes.ResourceExhausted, RetryAfter: time.Millisecond})
	if got, _ := deliver(t, next); got != again {
		t.Errorf("ResourceExhausted with RetryInfo: %+v", got)
	}
}

// What each HTTP status does ("Failures" of OTLP/HTTP).
func TestToSenderHTTPStatuses(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	next := ToSender(onHTTP(t, b))
	retried := map[int]bool{http.StatusTooManyRequests: true, http.StatusBadGateway: true, http.StatusServiceUnavailable: true, http.StatusGatewayTimeout: true}
	for _, status := range []int{300, 301, 307, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 501, 502, 503, 504, 505, 599} {
		want := refused
		if retried[status] {
			want = again
		}
		b.Script(testkit.Answer{Code: codes.Unknown, HTTPStatus: status})
		got, log := deliver(t, next)
		if got != want {
			t.Errorf("%d: %+v, want %+v", status, got, want)
		}
		if hinted := len(log.Lines("is the metrics signal switched on there?")) == 1; hinted != (status == 404 || status == 501) {
			t.Errorf("%d: hint %t: %q", status, hinted, log.Lines(""))
		}
	}
	for _, status := range []int{200, 202, 204, 299} {
		b.Script(testkit.Answer{HTTPStatus: status})
		if got, _ := deliver(t, next); got != taken {
			t.Errorf("%d: %+v", status, got)
		}
	}
}

func TestToSenderAnswers(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T, *testkit.Backend) otlpclient.Sender{"grpc": onGRPC, "http": onHTTP} {
		b := testkit.NewBackend(t, testkit.BackendConfig{})
		next := ToSender(open(t, b))
		for what, c := range map[string]struct {
			answer testkit.Answer
			want   Stats
			log    string
		}{
			"taken":  {testkit.Answer{}, taken, ""},
			"remark": {testkit.Answer{Message: "use less"}, taken, "with a warning"},
			"half": {testkit.Answer{Rejected: 2, Message: "too old"},
				Stats{Added: 10, Delivered: 6, Dropped: [NumReasons]int64{Rejected: 4}}, "too old"},
			"negative": {testkit.Answer{Rejected: -2}, taken, "negative"},
			"all":      {testkit.Answer{Rejected: 5}, Stats{Added: 10, Dropped: [NumReasons]int64{Rejected: 10}}, "reason=rejected"},
		} {
			b.Script(c.answer)
			got, log := deliver(t, next)
			if got != c.want {
				t.Errorf("%s, %s: %+v, want %+v", name, what, got, c.want)
			}
			if n := len(log.Lines(c.log)); c.log == "" && n != 0 || c.log != "" && n != 1 {
				t.Errorf("%s, %s: %q", name, what, log.Lines(""))
			}
		}
		for _, call := range b.Calls() {
			if string(call.Bytes) != string(request(5)) {
				t.Errorf("%s: other bytes arrived", name)
			}
		}
	}
}

// A connection that breaks loses nothing. (net/http may send again on its own.)
func TestToSenderHangUp(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T, *testkit.Backend) otlpclient.Sender{"grpc": onGRPC, "http": onHTTP} {
		b := testkit.NewBackend(t, testkit.BackendConfig{})
		b.Script(testkit.Answer{HangUp: true}, testkit.Answer{HangUp: true}, testkit.Answer{HangUp: true})
		got, _ := deliver(t, ToSender(open(t, b)))
		if got.Delivered != 10 || got.Retries < 1 || len(b.Calls()) != 4 {
			t.Errorf("%s: %+v after %d calls", name, got, len(b.Calls()))
		}
	}
}

// A destination that is away for a while gets everything in the end, in order.
func TestToSenderOutage(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T, *testkit.Backend) otlpclient.Sender{"grpc": onGRPC, "http": onHTTP} {
		b := testkit.NewBackend(t, testkit.BackendConfig{})
		log := &testkit.Log{}
		q := New(Config{Next: ToSender(open(t, b)), InitialBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, Logger: log.Logger()})
		b.Stop()
		q.Start()
		for n := range 10 {
			q.Add(metrics(t, 1+n, 1))
		}
		for q.Stats(otlp.Metrics).Retries < 3 {
			time.Sleep(time.Millisecond)
		}
		b.Start(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		q.Shutdown(ctx)
		a := q.Stats(otlp.Metrics)
		balanced(t, a)
		if a.Delivered != 10 {
			t.Errorf("%s: %+v", name, a)
		}
		for i, got := range b.Requests(otlp.Metrics) {
			if string(got) != string(request(1+i)) {
				t.Errorf("%s: request %d is another", name, i)
			}
		}
		if n, m := len(log.Lines("they are kept")), len(log.Lines("answers again")); n != 1 || m != 1 {
			t.Errorf("%s: %q", name, log.Lines(""))
		}
	}
}

// What a consumer is shown it may keep, and may not write to.
func TestConsumer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want Stats
	}{
		"taken":     {nil, taken},
		"retryable": {refuse(pipeline.Retryable), again},
		"unknown":   {errDown, again},
		"permanent": {refuse(pipeline.Permanent), refused},
		"partial": {&pipeline.Error{Kind: pipeline.Partial, Rejected: 2},
			Stats{Added: 10, Delivered: 6, Dropped: [NumReasons]int64{Rejected: 4}}},
	} {
		sink, answers := &testkit.Sink{}, []error{c.err}
		var kept []*pipeline.Batch
		sink.Respond(func(_ context.Context, b *pipeline.Batch) (err error) {
			if _, err := b.Edit(); !errors.Is(err, pipeline.ErrShared) {
				return pipeline.Permanently(errors.New("the batch can be edited"))
			}
			kept = append(kept, b.Retain())
			if len(answers) > 0 {
				err, answers = answers[0], answers[1:]
			}
			return err
		})
		got, log := deliver(t, sink)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v; %q", name, got, c.want, log.Lines(""))
		}
		for _, b := range kept { // the Queue is long done
			if string(b.Bytes()) != string(request(5)) || b.Items() != 5 {
				t.Errorf("%s: the consumer has other bytes", name)
			}
			b.Release()
		}
		if n := sink.Calls(); n != len(kept) || n == 0 {
			t.Errorf("%s: %d calls", name, n)
		}
	}
}

// A pipeline counts the batch's items, of which each may stand for many of the stats'.
func TestConsumerCountsItems(t *testing.T) {
	t.Parallel()
	k := &testkit.Sink{}
	k.FailNext(&pipeline.Error{Kind: pipeline.Partial, Rejected: 1})
	q := New(Config{Next: k})
	q.Start()
	q.Add(metrics(t, 5, 1000))
	q.Shutdown(t.Context())
	if a := q.Stats(otlp.Metrics); a.Dropped[Rejected] != 200 || a.Delivered != 800 {
		t.Errorf("one of five items was rejected: %+v", a)
	}
}

// A panic in the consumer is the failure of its request alone.
func TestConsumerPanics(t *testing.T) {
	t.Parallel()
	k := &testkit.Sink{}
	k.Respond(func(context.Context, *pipeline.Batch) error { panic("boom") })
	got, log := deliver(t, k)
	if got != refused {
		t.Errorf("%+v, want %+v", got, refused)
	}
	if lines := log.Lines(""); len(lines) != 1 || !strings.Contains(lines[0], "panic=boom") || !strings.Contains(lines[0], "TestConsumerPanics") {
		t.Errorf("it logged %q", lines)
	}
}

// attempts counts attempts by their result.
type attempts struct{ ok, failed int }

func (a *attempts) Attempt(_ context.Context, _ otlp.Signal, refusal *pipeline.Error) {
	if refusal == nil {
		a.ok++
	} else {
		a.failed++
	}
}

func (*attempts) Outcome(context.Context, otlp.Signal, int, int, *pipeline.Error) {}

// A destination that takes all and has something to say has not failed.
func TestWarningIsNoFailedAttempt(t *testing.T) {
	t.Parallel()
	for rejected, want := range map[int64]attempts{0: {ok: 1}, 2: {failed: 1}} {
		k, got := &testkit.Sink{}, &attempts{}
		k.FailNext(&pipeline.Error{Kind: pipeline.Partial, Rejected: rejected, Err: errors.New("a word of warning")})
		q := New(Config{Next: k, Observer: got})
		q.Start()
		q.Add(metrics(t, 5, 10))
		q.Shutdown(t.Context())
		if *got != want {
			t.Errorf("%d rejected: %+v, want %+v", rejected, *got, want)
		}
	}
}
