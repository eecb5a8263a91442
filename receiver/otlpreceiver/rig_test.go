package otlpreceiver

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	profilespb "go.opentelemetry.io/proto/otlp/profiles/v1development"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"golang.org/x/net/http2"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// rig is a running receiver on free ports with a sink behind all signals, or
// those that were asked for.
type rig struct {
	*Receiver
	t      *testing.T
	sink   *testkit.Sink
	meter  *testkit.Meter
	spans  *tracetest.SpanRecorder
	logs   *testkit.Log
	budget *admission.Budget
	conn   *grpc.ClientConn
	web    *http.Client
}

// testConfig has both protocols on free ports.
func testConfig() Config {
	g, h := DefaultGRPCConfig(), DefaultHTTPConfig()
	g.Endpoint, h.Endpoint = "127.0.0.1:0", "127.0.0.1:0"
	return Config{Protocols: Protocols{GRPC: g, HTTP: h}}
}

func newRig(t *testing.T, cfg Config, signals ...otlp.Signal) *rig {
	t.Helper()
	r := makeRig(t, cfg, setup{signals: signals})
	r.start()
	return r
}

// setup is what a rig has beside its configuration.
type setup struct {
	signals []otlp.Signal // nil: all
	budget  *admission.Budget
	auth    any // the extension "auth"
	pace    func(*frontend.Pace)
}

// newRigWith is newRig, and ends with the budget empty.
func newRigWith(t *testing.T, cfg Config, with setup) *rig {
	t.Helper()
	r := makeRig(t, cfg, with)
	r.start()
	return r
}

// makeRig makes a receiver that is not started yet.
func makeRig(t *testing.T, cfg Config, with setup) *rig {
	t.Helper()
	r := &rig{t: t, sink: &testkit.Sink{}, meter: testkit.NewMeter(), spans: tracetest.NewSpanRecorder(), logs: &testkit.Log{}}
	var err error
	r.Receiver, err = New(cfg, component.Settings{
		ID:     "otlp/test",
		Logger: r.logs.Logger(),
		Tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans)),
		Meter:  r.meter,
		Memory: with.budget,

		MetricsLevel: component.LevelDetailed,
		Extension: func(id string) (any, bool) {
			if id != "auth" || with.auth == nil {
				return nil, false
			}
			return with.auth, true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if with.pace != nil {
		with.pace(&r.pace)
	}
	signals := with.signals
	if signals == nil {
		all := otlp.Signals()
		signals = all[:]
	}
	for _, s := range signals {
		if err := r.Register(s, r.sink); err != nil {
			t.Fatal(err)
		}
	}
	r.budget = with.budget
	return r
}

func (r *rig) start() {
	t := r.t
	t.Helper()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.GRPCAddr() != nil {
		r.conn = dial(t, r.GRPCAddr().String())
	}
	r.web = &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		r.web.CloseIdleConnections()
		r.shutdownIn(10 * time.Second)
		if used := r.budget.Stats().Used; used != 0 {
			t.Errorf("%d bytes of the budget were not given back", used)
		}
	})
}

func dial(t *testing.T, target string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (r *rig) shutdownIn(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return r.Shutdown(ctx)
}

// answer is the response that a client gets, in terms of both transports.
type answer struct {
	http       int         // 0 for gRPC
	status     *spb.Status // nil for success
	retryAfter string      // HTTP only
	header     http.Header
	body       []byte // of a success
}

func (a answer) ok() bool { return a.status == nil }

// transports are the two ways to send the same bytes.
var testTransports = []struct {
	name string
	send func(r *rig, s otlp.Signal, encoding string, body []byte) answer
}{
	{"grpc", (*rig).sendGRPC},
	{"http", (*rig).sendHTTP},
}

// clientCodec sends and receives bytes.
type clientCodec struct{}

func (clientCodec) Name() string { return "proto" }
func (clientCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (clientCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// sendGRPC sends body with a grpc-go client, which compresses it.
func (r *rig) sendGRPC(s otlp.Signal, encoding string, body []byte) answer {
	opts := []grpc.CallOption{grpc.ForceCodecV2(clientCodec{}), grpc.MaxCallSendMsgSize(1 << 30)}
	if encoding != "" {
		opts = append(opts, grpc.UseCompressor(encoding))
	}
	var a answer
	if err := r.conn.Invoke(context.Background(), s.Spec().Method, body, &a.body, opts...); err != nil {
		a.status = status.Convert(err).Proto()
	}
	return a
}

// sendHTTP compresses body and posts it.
func (r *rig) sendHTTP(s otlp.Signal, encoding string, body []byte) answer {
	header := http.Header{"Content-Type": {"application/x-protobuf"}}
	if encoding != "" {
		header.Set("Content-Encoding", encoding)
	}
	return r.request(http.MethodPost, s.Spec().Path, header, compressed(encoding, body))
}

func (r *rig) request(method, path string, header http.Header, body []byte) answer {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.HTTPAddr().String()+path, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header = header
	resp, err := r.web.Do(req)
	if err != nil {
		r.t.Error(err)
		return answer{http: -1, status: &spb.Status{Code: -1, Message: err.Error()}}
	}
	return readAnswer(r.t, resp)
}

func readAnswer(t *testing.T, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	a := answer{http: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After"), header: resp.Header}
	if resp.StatusCode == http.StatusOK {
		a.body = body
		return a
	}
	a.status = &spb.Status{}
	switch ct := resp.Header.Get("Content-Type"); ct {
	case "application/x-protobuf":
		err = proto.Unmarshal(body, a.status)
	case "application/json":
		err = protojson.Unmarshal(body, a.status)
	default:
		err = fmt.Errorf("the error's Content-Type is %q", ct)
	}
	if err != nil && resp.Request.Method != http.MethodHead {
		t.Errorf("%d with the body %q, want a google.rpc.Status: %v", resp.StatusCode, body, err)
	}
	return a
}

// compress returns body as it is where the encoding is unknown.
func compressed(encoding string, body []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		w, _ = zstd.NewWriter(&out)
	case "zlib", "deflate":
		w = zlib.NewWriter(&out)
	case "snappy":
		return snappy.Encode(nil, body)
	case "x-snappy-framed":
		w = snappy.NewBufferedWriter(&out)
	case "lz4":
		w = lz4.NewWriter(&out)
	default:
		return body
	}
	_, _ = w.Write(body)
	_ = w.Close()
	return out.Bytes()
}

// counts reads the three counters of a signal over one transport, for protobuf.
func (r *rig) counts(s otlp.Signal, transport string) [3]int64 {
	return r.countsOf(s, transport, "protobuf")
}

func (r *rig) countsOf(s otlp.Signal, transport, format string) [3]int64 {
	r.t.Helper()
	want := []string{"format=" + format, "receiver=" + r.Name(), "transport=" + transport}
	out := [3]int64{-1, -1, -1} // no such series
	for _, p := range r.meter.Points(r.t) {
		for i, outcome := range []string{"accepted", "refused", "failed"} {
			if p.Name == "otelcol_receiver_"+outcome+"_"+s.Spec().Item && slices.Equal(p.Attributes, want) {
				out[i] = p.Value
			}
		}
	}
	return out
}

// metric returns the sum of a counter's or gauge's points whose attributes have
// all of want, written as "key=value".
func (r *rig) metric(name string, want ...string) int64 {
	r.t.Helper()
	return r.meter.Sum(r.t, name, want...)
}

// message returns a request of signal s with n items.
func message(s otlp.Signal, n int) proto.Message {
	res := &resourcepb.Resource{Attributes: []*commonpb.KeyValue{{
		Key: "service.name", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: "checkout"}},
	}}}
	at := uint64(1_700_000_000_000_000_000)
	var spans []*tracepb.Span
	var points []*metricspb.NumberDataPoint
	var records []*logspb.LogRecord
	var samples []*profilespb.Sample
	for i := range n {
		t := at + uint64(i)
		spans = append(spans, &tracepb.Span{TraceId: bytes.Repeat([]byte{7}, 16), SpanId: bytes.Repeat([]byte{9}, 8), Name: "GET /", StartTimeUnixNano: t})
		points = append(points, &metricspb.NumberDataPoint{TimeUnixNano: t, Value: &metricspb.NumberDataPoint_AsInt{AsInt: int64(i)}})
		records = append(records, &logspb.LogRecord{TimeUnixNano: t, SeverityText: "INFO"})
		samples = append(samples, &profilespb.Sample{StackIndex: 1, TimestampsUnixNano: []uint64{t}})
	}
	gauge := &metricspb.Metric{Name: "queue", Data: &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{DataPoints: points}}}
	return map[otlp.Signal]proto.Message{
		otlp.Traces: &coltraces.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{
			{Resource: res, ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans}}}}},
		otlp.Metrics: &colmetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metricspb.ResourceMetrics{
			{Resource: res, ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: []*metricspb.Metric{gauge}}}}}},
		otlp.Logs: &collogs.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{
			{Resource: res, ScopeLogs: []*logspb.ScopeLogs{{LogRecords: records}}}}},
		otlp.Profiles: &colprofiles.ExportProfilesServiceRequest{
			ResourceProfiles: []*profilespb.ResourceProfiles{
				{Resource: res, ScopeProfiles: []*profilespb.ScopeProfiles{{Profiles: []*profilespb.Profile{{Samples: samples}}}}}},
			Dictionary: &profilespb.ProfilesDictionary{
				StringTable: []string{"", "main"}, StackTable: []*profilespb.Stack{{}, {}}}},
	}[s]
}

func marshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

// request returns the bytes of message, and after them an unknown
// field, so that re-encoding would show.
func request(s otlp.Signal, n int) []byte {
	return append(marshal(message(s, n)), 0xfa, 0x3f, 3, 'n', 'e', 'w') // field 1023, length-delimited
}

// maxAnswerText is how many bytes of text an answer has at most.
const maxAnswerText = 1 << 10

// h2frame is any HTTP/2 frame.
func h2frame(kind http2.FrameType, stream uint32, payload []byte) []byte {
	n := len(payload)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n), byte(kind), 0}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}
