package otlpreceiver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	otelcodes "go.opentelemetry.io/otel/codes"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// retryDelay returns the RetryInfo of a status, or -1.
func retryDelay(s *spb.Status) time.Duration {
	for _, d := range s.GetDetails() {
		var ri errdetails.RetryInfo
		if d.MessageIs(&ri) && d.UnmarshalTo(&ri) == nil {
			return ri.GetRetryDelay().AsDuration()
		}
	}
	return -1
}

// badRequest returns the first field violation of a status, or nil.
func badRequest(s *spb.Status) *errdetails.BadRequest_FieldViolation {
	for _, d := range s.GetDetails() {
		var br errdetails.BadRequest
		if d.MessageIs(&br) && d.UnmarshalTo(&br) == nil && len(br.GetFieldViolations()) > 0 {
			return br.GetFieldViolations()[0]
		}
	}
	return nil
}

// errDown has what clients must not read.
var errDown = errors.New("send to http://ann:REDACTED@internal.example:4318: backend is down")

// What a consumer's answer means to the client, the counters and the span.
var consumerAnswers = []struct {
	name       string
	err        error
	panics     bool
	processor  bool       // a processor before the consumer panics
	code       codes.Code // OK: success
	http       int
	retry      time.Duration // RetryInfo, -1: none
	retryAfter string
	rejected   int64 // of partial success
	text       string
	counts     [3]int64 // of 10 items
}{
	{name: "accepted", code: codes.OK, http: 200, counts: [3]int64{10, 0, 0}},
	{name: "plain error", err: errDown, code: codes.Unavailable, http: 503, retry: -1, text: "the pipeline is unavailable", counts: [3]int64{0, 10, 0}},
	{name: "retryable", err: &pipeline.Error{Kind: pipeline.Retryable, Err: errDown},
		code: codes.Unavailable, http: 503, retry: -1, text: "the pipeline is unavailable", counts: [3]int64{0, 10, 0}},
	{name: "retryable later", err: &pipeline.Error{Kind: pipeline.Retryable, Err: errDown, RetryAfter: 2 * time.Second},
		code: codes.Unavailable, http: 503, retry: 2 * time.Second, retryAfter: "2", text: "the pipeline is unavailable", counts: [3]int64{0, 10, 0}},
	{name: "overloaded", err: &pipeline.Error{Kind: pipeline.Overloaded, Err: errDown, RetryAfter: 1200 * time.Millisecond},
		code: codes.Unavailable, http: 503, retry: 1200 * time.Millisecond, retryAfter: "2", text: "the pipeline is overloaded", counts: [3]int64{0, 10, 0}},
	{name: "overloaded briefly", err: &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: time.Millisecond},
		code: codes.Unavailable, http: 503, retry: time.Millisecond, retryAfter: "1", text: "the pipeline is overloaded", counts: [3]int64{0, 10, 0}},
	{name: "overloaded without a wish", err: &pipeline.Error{Kind: pipeline.Overloaded, Err: errDown},
		code: codes.Unavailable, http: 503, retry: time.Second, retryAfter: "1", text: "the pipeline is overloaded", counts: [3]int64{0, 10, 0}},
	{name: "permanent", err: fmt.Errorf("export: %w", pipeline.Permanently(errDown)),
		code: codes.Internal, http: 500, retry: -1, text: "the pipeline refused the data", counts: [3]int64{0, 10, 0}},
	{name: "permanent, retry after ignored", err: &pipeline.Error{Kind: pipeline.Permanent, Err: errDown, RetryAfter: time.Minute},
		code: codes.Internal, http: 500, retry: -1, text: "the pipeline refused the data", counts: [3]int64{0, 10, 0}},
	{name: "destination: InvalidArgument", err: permanentWith(codes.InvalidArgument),
		code: codes.InvalidArgument, http: 400, retry: -1, text: "the pipeline refused the data", counts: [3]int64{0, 10, 0}},
	{name: "destination: Unauthenticated", err: permanentWith(codes.Unauthenticated),
		code: codes.Unauthenticated, http: 401, retry: -1, text: "the pipeline refused the data", counts: [3]int64{0, 10, 0}},
	{name: "destination: PermissionDenied", err: permanentWith(codes.PermissionDenied),
		code: codes.PermissionDenied, http: 403, retry: -1, text: "the pipeline refused the data", counts: [3]int64{0, 10, 0}},
	{name: "destination: Unimplemented", err: permanentWith(codes.Unimplemented),
		code: codes.Unimplemented, http: 404, retry: -1, text: "the pipeline refused the data", counts: [3]int64{0, 10, 0}},
	{name: "destination: ResourceExhausted", err: permanentWith(codes.ResourceExhausted),
		code: codes.ResourceExhausted, http: 413, retry: -1, text: "the pipeline refused the data", counts: [3]int64{0, 10, 0}},
	{name: "destination: FailedPrecondition", err: permanentWith(codes.FailedPrecondition),
		code: codes.FailedPrecondition, http: 500, retry: -1, text: "the pipeline refused the data", counts: [3]int64{0, 10, 0}},
	{name: "permanent with a retryable code", err: permanentWith(codes.DataLoss),
		code: codes.Internal, http: 500, retry: -1, text: "the pipeline refused the data", counts: [3]int64{0, 10, 0}},
	{name: "permanent with no code at all", err: permanentWith(9999),
		code: codes.Internal, http: 500, retry: -1, text: "the pipeline refused the data", counts: [3]int64{0, 10, 0}},
	{name: "partial", err: &pipeline.Error{Kind: pipeline.Partial, Rejected: 3, Err: errDown},
		code: codes.OK, http: 200, rejected: 3, text: "the pipeline rejected some of the items", counts: [3]int64{7, 3, 0}},
	{name: "partial, more than there were", err: &pipeline.Error{Kind: pipeline.Partial, Rejected: 99, Err: errDown},
		code: codes.OK, http: 200, rejected: 10, text: "the pipeline rejected some of the items", counts: [3]int64{0, 10, 0}},
	{name: "partial, less than none", err: &pipeline.Error{Kind: pipeline.Partial, Rejected: -3, Err: errDown},
		code: codes.OK, http: 200, rejected: 0, text: "the pipeline accepted the data with a warning", counts: [3]int64{10, 0, 0}},
	{name: "of no known kind", err: &pipeline.Error{Kind: 77, Err: errDown},
		code: codes.Unavailable, http: 503, retry: -1, text: "the pipeline is unavailable", counts: [3]int64{0, 10, 0}},
	{name: "panic", panics: true,
		code: codes.Internal, http: 500, retry: -1, text: "internal error while the request was processed", counts: [3]int64{0, 0, 10}},
	{name: "panic of a processor", panics: true, processor: true,
		code: codes.Internal, http: 500, retry: -1, text: "internal error while the request was processed", counts: [3]int64{0, 0, 10}},
	{name: "cancelled", err: context.Canceled, code: codes.Unavailable, http: 503, retry: -1, text: "the pipeline is unavailable", counts: [3]int64{0, 10, 0}},
	{name: "not UTF-8", err: errors.New("bad \xff byte"), code: codes.Unavailable, http: 503, retry: -1, text: "the pipeline is unavailable", counts: [3]int64{0, 10, 0}},
}

// panicking is a processor that panics.
type panicking struct{}

func (panicking) Process(context.Context, *pipeline.Batch) (*pipeline.Batch, error) { panic("secret") }

func permanentWith(c codes.Code) error {
	return &pipeline.Error{Kind: pipeline.Permanent, Code: uint32(c), Err: errDown}
}

func TestConsumerAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range consumerAnswers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, via := range testTransports {
				r := newRig(t, testConfig())
				r.sink.Respond(func(ctx context.Context, b *pipeline.Batch) error {
					switch {
					case tt.processor:
						return pipeline.Chain(pipeline.ConsumerFunc(nil), pipeline.Step{Processor: panicking{}}).Consume(ctx, b)
					case tt.panics:
						panic("secret")
					}
					return tt.err
				})
				for _, s := range otlp.Signals() {
					a := via.send(r, s, "", request(s, 10))
					if want := tt.http; a.http != 0 && a.http != want {
						t.Errorf("%s/%s: HTTP status %d, want %d", via.name, s, a.http, want)
					}
					if tt.code == codes.OK {
						checkSuccess(t, a, tt.rejected, tt.text)
					} else if a.ok() {
						t.Fatalf("%s/%s: success, want %s", via.name, s, tt.code)
					} else {
						if codes.Code(a.status.Code) != tt.code || a.status.Message != tt.text {
							t.Errorf("%s/%s: %s %q, want %s %q", via.name, s, codes.Code(a.status.Code), a.status.Message, tt.code, tt.text)
						}
						if d := retryDelay(a.status); d != tt.retry || a.retryAfter != "" && a.retryAfter != tt.retryAfter ||
							a.http != 0 && (a.retryAfter == "") != (tt.retryAfter == "") {
							t.Errorf("%s/%s: RetryInfo %v, Retry-After %q, want %v, %q", via.name, s, d, a.retryAfter, tt.retry, tt.retryAfter)
						}
					}
					if got := r.counts(s, via.name); got != tt.counts {
						t.Errorf("%s/%s: accepted, refused, failed = %v, want %v", via.name, s, got, tt.counts)
					}
				}
				checkSpans(t, r, via.name, tt.counts, tt.err != nil || tt.panics)
				logs := r.logs.String()
				if logged := strings.Contains(logs, "secret"); logged != tt.panics {
					t.Errorf("%s: panic logged: %v", via.name, logged)
				}
				if detail := errors.Is(tt.err, errDown); detail != strings.Contains(logs, "ann:REDACTED@internal.example:4318: backend is down") {
					t.Errorf("%s: the log has the error: %v, want %v: %s", via.name, !detail, detail, logs)
				}
				if tt.processor && !strings.Contains(logs, "panicking.Process") {
					t.Errorf("%s: the log has no stack of the processor: %s", via.name, logs)
				}
			}
		})
	}
}

// checkSuccess reads the response as the client's own library does. The four
// response messages are the same on the wire.
func checkSuccess(t *testing.T, a answer, rejected int64, text string) {
	t.Helper()
	var resp coltraces.ExportTraceServiceResponse
	if !a.ok() || proto.Unmarshal(a.body, &resp) != nil {
		t.Fatalf("answer %+v, want success", a)
	}
	if ps := resp.GetPartialSuccess(); ps.GetRejectedSpans() != rejected || ps.GetErrorMessage() != text || (ps == nil) != (text == "") {
		t.Errorf("partial success %v, want %d rejected, %q", ps, rejected, text)
	}
}

func checkSpans(t *testing.T, r *rig, transport string, counts [3]int64, failed bool) {
	t.Helper()
	spans := r.spans.Ended()
	if len(spans) != 4 {
		t.Fatalf("%s: %d spans, want one a request", transport, len(spans))
	}
	for i, s := range otlp.Signals() {
		sp, item := spans[i], s.Spec().Item
		if want := "receiver/otlp/test/" + s.Spec().ReceiveOp; sp.Name() != want {
			t.Errorf("span %q, want %q", sp.Name(), want)
		}
		got := map[string]string{}
		for _, kv := range sp.Attributes() {
			got[string(kv.Key)] = kv.Value.String()
		}
		want := map[string]string{"transport": transport, "format": "protobuf", "accepted_" + item: fmt.Sprint(counts[0]),
			"refused_" + item: fmt.Sprint(counts[1]), "failed_" + item: fmt.Sprint(counts[2])}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("attributes %v, want %v", got, want)
		}
		if isError := sp.Status().Code == otelcodes.Error; isError != failed {
			t.Errorf("%s: span status %v", s, sp.Status())
		}
	}
}

// A fan-out's joint verdict reaches the client as one.
func TestFanoutAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig(), otlp.Logs)
	good, bad := &testkit.Sink{}, &testkit.Sink{}
	bad.Fail(pipeline.Permanently(errDown))
	r.sink.Respond(pipeline.Fanout(good, bad).Consume)
	for _, via := range testTransports {
		if a := via.send(r, otlp.Logs, "", request(otlp.Logs, 1)); a.ok() || codes.Code(a.status.Code) != codes.Internal {
			t.Errorf("%s: %v, want Internal", via.name, a.status)
		}
	}
	if good.Calls() != 2 {
		t.Error("the good branch was not called")
	}
}

// Long texts do not travel whole.
func TestMessagesAreCapped(t *testing.T) {
	t.Parallel()
	eachServer(t, withAuth(), func(t *testing.T, cfg Config, ca *tlstest.Authority) {
		r := newRigWith(t, cfg, setup{auth: refusing{errors.New(strings.Repeat("ж", 5000))}})
		for _, c := range allClients(t, r, ca) {
			a := c.send(t, c.target(otlp.Traces), "any", request(otlp.Traces, 1))
			message := a.status.GetMessage()
			if n := len(message); n > maxAnswerText || n < maxAnswerText-8 || !strings.HasSuffix(message, "ж…") {
				t.Errorf("%s: a message of %d bytes ending in %q", c.name, n, message[max(0, n-8):])
			}
		}
	})
}

// refusing is an authenticator that accepts nobody.
type refusing struct{ err error }

func (r refusing) Authenticate(context.Context, func(string) []string) (*pipeline.Identity, error) {
	return nil, r.err
}

// privateError is the error of an authenticator with a text for clients.
type privateError struct{ error }

func (privateError) ClientText() string { return "wrong token" }

// Clients do not read what an authenticator keeps for the log.
func TestTextOfAuthenticators(t *testing.T) {
	t.Parallel()
	private := privateError{errors.New("expected the issuer https://internal.example")}
	for _, err := range []error{
		private, fmt.Errorf("verify: %w", private), &pipeline.Error{Kind: pipeline.Retryable, Err: private},
	} {
		eachServer(t, withAuth(), func(t *testing.T, cfg Config, ca *tlstest.Authority) {
			r := newRigWith(t, cfg, setup{auth: refusing{err}})
			for _, c := range allClients(t, r, ca) {
				a := c.send(t, c.target(otlp.Traces), "any", request(otlp.Traces, 1))
				if got := a.status.GetMessage(); got != "wrong token" || !strings.Contains(r.logs.String(), "internal.example") {
					t.Errorf("%s: %q, log %s", c.name, got, r.logs.String())
				}
			}
		})
	}
}

// An authenticated client gets the error itself.
func TestAuthenticatedClientsReadErrors(t *testing.T) {
	t.Parallel()
	r := newRigWith(t, onePortConfig("tcp", "127.0.0.1:0", withAuth()), setup{auth: names{}})
	r.sink.Respond(func(context.Context, *pipeline.Batch) error { return errDown })
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-name", "client")
	err := r.conn.Invoke(ctx, otlp.Logs.Spec().Method, request(otlp.Logs, 1), new([]byte), grpc.ForceCodecV2(clientCodec{}))
	if got := status.Convert(err).Message(); got != errDown.Error() {
		t.Errorf("got %q, want %q", got, errDown)
	}
}
