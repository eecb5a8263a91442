package otlphttpexporter

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// hangsAfter is when a test calls what has not happened a hang. Nothing waits
// for it to pass; it is long since the machine may be starved.
const hangsAfter = time.Minute

func TestMain(m *testing.M) { testkit.Main(m) }

type arrival struct {
	uri, kind string
	body      []byte
}

func destination(t testing.TB, answer http.HandlerFunc) (base string, arrivals chan arrival) {
	t.Helper()
	arrivals = make(chan arrival, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := decompress.Decompress(r.Header.Get("Content-Encoding"), nil, r.Body, 64<<20, nil)
		if err != nil {
			return // the client has gone
		}
		arrivals <- arrival{r.RequestURI, r.Header.Get("Content-Type"), bytes.Clone(*body)}
		bufpool.Put(body)
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, arrivals
}

func fromYAML(t testing.TB, yaml string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, yaml, &cfg)
	return cfg, err
}

func start(t testing.TB, yaml string) *Exporter {
	t.Helper()
	cfg, err := fromYAML(t, yaml)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Timeout == DefaultConfig().Timeout { // the test is about something else
		cfg.Timeout = hangsAfter
	}
	e, err := New(cfg, component.Settings{ID: "otlphttp"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

// request is a valid request of any signal, of about n bytes, with a field that
// nobody knows.
func request(n int) []byte {
	unknown := protowire.AppendTag(nil, 9999, protowire.BytesType)
	return protowire.AppendBytes(unknown, bytes.Repeat([]byte("penstock "), n/9+1)[:n])
}

func spans(n int) []byte {
	scope := bytes.Repeat([]byte{0x12, 0}, n)
	resource := protowire.AppendBytes([]byte{0x12}, scope)
	return protowire.AppendBytes([]byte{0x0a}, resource)
}

func TestDeliversBytes(t *testing.T) {
	t.Parallel()
	base, arrivals := destination(t, nil)
	for _, compression := range []string{"none", "gzip", "zstd"} {
		e := start(t, "{endpoint: '"+base+"/base', logs_endpoint: '"+base+"/own?x=y', compression: "+compression+"}")
		for _, s := range otlp.Signals() {
			for _, n := range []int{0, 100, 500_000} {
				body := request(n)
				b := testkit.PooledBatch(t, s, body, nil)
				if err := e.Consume(t.Context(), b); err != nil {
					t.Fatalf("%s, %s: %v", s, compression, err)
				}
				b.Release()
				uri := "/base" + s.Spec().Path
				if s == otlp.Logs {
					uri = "/own?x=y"
				}
				got := <-arrivals
				if !bytes.Equal(got.body, body) || got.uri != uri || got.kind != "application/x-protobuf" {
					t.Errorf("%s, %s: %d other bytes arrived at %s as %s", s, compression, len(got.body), got.uri, got.kind)
				}
			}
		}
	}
}

func TestTranslatesAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		after  string
		body   []byte
		want   pipeline.Error
	}{
		"unavailable": {503, "", nil, pipeline.Error{Kind: pipeline.Retryable, Code: 14}},
		"busy":        {503, "3", nil, pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: 3 * time.Second, Code: 14}},
		"too many":    {429, "", nil, pipeline.Error{Kind: pipeline.Overloaded, Code: 14}},
		"invalid":     {400, "3", nil, pipeline.Error{Kind: pipeline.Permanent, Code: 3}},
		"moved":       {308, "", nil, pipeline.Error{Kind: pipeline.Permanent, Code: 2}},
		"partial":     {200, "", []byte{0x0a, 6, 0x08, 2, 0x12, 2, 'n', 'o'}, pipeline.Error{Kind: pipeline.Partial, Rejected: 2}},
	} {
		base, _ := destination(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-protobuf")
			if c.after != "" {
				w.Header().Set("Retry-After", c.after)
			}
			w.WriteHeader(c.status)
			w.Write(c.body)
		})
		e := start(t, "endpoint: "+base)
		b := testkit.PooledBatch(t, otlp.Traces, spans(5), nil)
		err := e.Consume(t.Context(), b)
		b.Release()
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		got := *pipeline.Classify(err)
		got.Err = nil
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A destination that hangs up in the middle of a large request, and one that does
// not answer: send again. The batches are given back all the same.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 100_000)
		if r.URL.Path == "/hang/v1/metrics" {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}))
	defer s.Close()
	for _, path := range []string{"", "/hang"} {
		e := start(t, "{endpoint: '"+s.URL+path+"', compression: none, timeout: 200ms}")
		for range 3 {
			b := testkit.PooledBatch(t, otlp.Metrics, request(5<<20), nil)
			err := e.Consume(t.Context(), b)
			b.Release()
			if err == nil || pipeline.Classify(err).Kind != pipeline.Retryable {
				t.Errorf("%s: got %v, want a retryable error", path, err)
			}
		}
	}
}

func TestSignalWithoutEndpoint(t *testing.T) {
	t.Parallel()
	e := start(t, "traces_endpoint: http://127.0.0.1:1/v1/traces")
	b := testkit.PooledBatch(t, otlp.Logs, request(10), nil)
	defer b.Release()
	if err := e.Consume(t.Context(), b); err == nil || pipeline.Classify(err).Kind != pipeline.Permanent {
		t.Errorf("got %v, want a permanent error", err)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got := DefaultConfig()
	if got.Timeout != 30*time.Second || got.Compression != config.Gzip || got.MaxIdleConns != 100 ||
		got.IdleConnTimeout != 90*time.Second || !got.ForceAttemptHTTP2 || got.Encoding != "proto" {
		t.Errorf("got %+v", got)
	}
}

// What the Collector's exporter has is understood, whatever it holds.
func TestCollectorConfig(t *testing.T) {
	t.Parallel()
	cfg, err := fromYAML(t, `
endpoint: "https://1.2.3.4:1234"
traces_endpoint: https://custom.traces.endpoint:8080/v1/traces
metrics_endpoint: https://custom.metrics.endpoint:8080/v1/metrics
logs_endpoint: https://custom.logs.endpoint:8080/v1/logs
profiles_endpoint: https://custom.profiles.endpoint:8080/v1development/profiles
encoding: proto
tls: {ca_file: /var/lib/mycert.pem, cert_file: certfile, key_file: keyfile, insecure: true}
timeout: 10s
read_buffer_size: 123
write_buffer_size: 345
sending_queue: {enabled: true, num_consumers: 2, queue_size: 10, sizer: bytes, block_on_overflow: true}
retry_on_failure: {enabled: true, initial_interval: 10s, randomization_factor: 0.7, multiplier: 1.3, max_interval: 1m, max_elapsed_time: 10m}
headers: {"can you have a . here?": "F0000000-0000-0000-0000-000000000000", header1: "234", another: "somevalue"}
compression: gzip
`)
	if err == nil || !strings.Contains(err.Error(), "can you have a . here?") {
		t.Errorf("a header that cannot be sent: %v", err)
	}
	if got := cfg.Warnings(); len(got) != 0 {
		t.Errorf("warnings: %q", got)
	}
}

func TestRefusesConfig(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"timeout: 1s":                             "no endpoint is set: expected endpoint, or that of a signal",
		"endpoint: host:4318":                     ":1:11: endpoint: the endpoint is not a URL",
		"traces_endpoint: host/x":                 ":1:18: traces_endpoint: the endpoint is not a URL",
		"endpoint: http://h\nencoding: xml":       `:2:11: encoding: unknown encoding "xml"`,
		"endpoint: http://h\ntrace_endpoint: x":   `did you mean "traces_endpoint"`,
		"endpoint: http://h\ncompression: brotli": ":2:14: compression: unknown compression",
		"endpoint: http://h\nmax_idle_conns: -1":  ":2:17: max_idle_conns: ",
		"endpoint: http://h\nheaders: {a b: c}":   "the name may contain",
		"endpoint: http://h\nproxy_url: nonsense": ":2:12: proxy_url: ",
	} {
		if _, err := fromYAML(t, yaml); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\ngot  %v\nwant %q, once", yaml, err, want)
		}
	}
	if _, err := New(DefaultConfig(), component.Settings{}); err == nil {
		t.Error("New takes a configuration without an endpoint")
	}
}

var (
	_ pipeline.Consumer  = (*Exporter)(nil)
	_ pipeline.Component = (*Exporter)(nil)
	_ pipeline.Named     = (*Exporter)(nil)
)

// A base URL that has the path of a signal already is probably a mistake.
func TestEndpointWithTheSignalsPath(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]bool{
		"http://h:4318": false, "http://h:4318/otlp": false, "http://h:4318/v1/traces": true, "https://h/otlp/v1/logs/": true,
	} {
		cfg := DefaultConfig()
		cfg.Endpoint = endpoint
		if got := strings.Contains(strings.Join(cfg.Warnings(), " "), "is added to it"); got != want {
			t.Errorf("%s: %q", endpoint, cfg.Warnings())
		}
	}
}
