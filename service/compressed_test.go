package service

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// wireBackend keeps the bodies of HTTP requests as they arrive.
type wireBackend struct {
	*httptest.Server
	down atomic.Bool

	mu    sync.Mutex
	tries int
	calls []wireCall
}

type wireCall struct{ encoding, body string }

func newWireBackend(t *testing.T) *wireBackend {
	b := &wireBackend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.tries++
		if err != nil || b.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		b.calls = append(b.calls, wireCall{r.Header.Get("Content-Encoding"), string(body)})
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(b.Close)
	return b
}

// took returns the requests that were accepted, and how many arrived in all.
func (b *wireBackend) took() (calls []wireCall, tries int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls), b.tries
}

// codecOf is the codec of a Content-Encoding that a client of ours has sent.
func codecOf(t *testing.T, encoding string) pipeline.Codec {
	t.Helper()
	codec := pipeline.CodecNamed(strings.Replace(encoding, "deflate", "zlib", 1))
	if codec == pipeline.CodecNone {
		t.Fatalf("unknown encoding %q", encoding)
	}
	return codec
}

const compressedYAML = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}, http: {endpoint: "localhost:0"}}}
exporters:
  otlphttp:
    endpoint: "%[1]s"
    compression: %[3]s
    compressed_passthrough: %[4]s
    compressed_merge: %[5]t
    retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}
    sending_queue: %[6]s
extensions:
  file_storage: {directory: "%[2]s"}
service:
  extensions: [file_storage]
  pipelines:
    logs: {receivers: [otlp], exporters: [otlphttp]}
`

// What a destination gets is, decompressed, what clients sent, whatever they compressed it
// with, also when it waited for the destination, and after a restart. Where the exporter
// passes it on, and it was not merged, it is the same to the byte.
func TestCompressedThroughQueues(t *testing.T) {
	t.Parallel()
	const onDisk, inMemory, none = "{storage: file_storage}", "{wait_for_result: false}", "{enabled: false}"
	for _, queue := range []string{onDisk, inMemory, none} {
		for _, mode := range []string{"matching", "any", "off"} {
			for _, merge := range []bool{false, true} {
				t.Run(fmt.Sprint(queue, mode, " merge ", merge), func(t *testing.T) {
					t.Parallel()
					b, dir := newWireBackend(t), t.TempDir()
					yaml := fmt.Sprintf(compressedYAML, b.URL, dir, "gzip", mode, merge, queue)
					o := Options{InMemory: queue == inMemory}
					p := startPlaced(t, o, yaml, nil)
					passed, plain := sendCompressed(t, p.http, mode, func() { b.down.Store(queue != none) })
					if queue == onDisk {
						testkit.Eventually(t, "attempts", func() bool { _, tries := b.took(); return tries > 0 })
						p.stop(t)
						p = startPlaced(t, o, yaml, nil)
					}
					b.down.Store(false)
					checkCompressed(t, b, passed, plain, merge)
					p.stop(t)
				})
			}
		}
	}
}

// What a queue counts in bytes is what requests were before compression, and its capacity is
// how many such bytes fit into the files.
func TestQueueCountsPlainBytes(t *testing.T) {
	t.Parallel()
	b, dir := newWireBackend(t), t.TempDir()
	b.down.Store(true)
	p := startPlaced(t, Options{}, fmt.Sprintf(compressedYAML, b.URL, dir, "gzip", "matching", false, "{storage: file_storage, sizer: bytes}"), nil)
	request := testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Logs, 1000)
	request = append(request, bytes.Repeat(request, 9)...)
	const requests = 5
	for range requests {
		post(t, p.http, wireCall{"gzip", string(testkit.Compress(pipeline.CodecGzip, request))})
	}
	status, err := p.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plain := uint64(requests * len(request))
	if held := uint64(status.Queues[0].HeldBytes); held < plain || held > plain+plain/100 {
		t.Errorf("%d bytes are held, want about %d", held, plain)
	}
	var size, capacity float64
	testkit.Eventually(t, "the metrics of the queue", func() bool {
		_, page := p.get(t, "/metrics")
		size, capacity = sample(page, "otelcol_exporter_queue_size"), sample(page, "otelcol_exporter_queue_capacity")
		return size >= float64(plain)
	})
	if bound := float64(10 << 30); capacity < 2*bound {
		t.Errorf("a capacity of %.0f bytes, want more than twice the %.0f of the files", capacity, bound)
	}
	b.down.Store(false)
	testkit.Eventually(t, "delivery", func() bool { calls, _ := b.took(); return len(calls) == requests })
	p.stop(t)
}

// sample returns the value of a metric that has one series.
func sample(page, name string) (v float64) {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, name+"{") {
			_, _ = fmt.Sscan(line[strings.LastIndex(line, "}")+1:], &v)
		}
	}
	return v
}

// sendCompressed sends requests of logs in each codec, and without one, half of them after
// down was called. It returns the bodies of those that an exporter with gzip passes on, and
// the concatenation of all requests, each as it was before compression.
func sendCompressed(t *testing.T, address, mode string, down func()) (passed []wireCall, plain map[string]int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	plain = map[string]int{}
	for i := range 4 {
		if i == 2 {
			down()
		}
		for _, codec := range append(testkit.Codecs(), pipeline.CodecNone) {
			request := testkit.Request(r, otlp.Logs, 100)
			call := wireCall{"", string(request)}
			if codec != pipeline.CodecNone {
				call = wireCall{codec.String(), string(testkit.Compress(codec, request))}
			}
			post(t, address, call)
			plain[string(request)]++
			if smaller := len(call.body) < len(request); smaller && (mode == "any" && codec != pipeline.CodecNone || mode == "matching" && codec == pipeline.CodecGzip) {
				call.encoding = strings.Replace(call.encoding, "zlib", "deflate", 1)
				passed = append(passed, call)
			}
		}
	}
	return passed, plain
}

// post sends a request to an OTLP/HTTP receiver.
func post(t *testing.T, address string, c wireCall) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+strings.TrimPrefix(address, "http://")+"/v1/logs", strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-protobuf")
	if c.encoding != "" {
		q.Header.Set("Content-Encoding", c.encoding)
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("a request with encoding %q: %s, %v", c.encoding, resp.Status, err)
	}
}

// checkCompressed waits until everything has arrived. passed arrive to the byte, unless
// they may have been merged; all requests are in what arrived, in some order.
func checkCompressed(t *testing.T, b *wireBackend, passed []wireCall, plain map[string]int, merge bool) {
	t.Helper()
	total := 0
	for request := range plain {
		total += len(request)
	}
	arrived := func() (requests [][]byte, n int) {
		calls, _ := b.took()
		for _, c := range calls {
			request := plainOf(t, c)
			requests, n = append(requests, request), n+len(request)
		}
		return requests, n
	}
	testkit.Eventually(t, "all requests", func() bool { _, n := arrived(); return n >= total })
	requests, n := arrived()
	for request := range plain {
		if !slices.ContainsFunc(requests, func(r []byte) bool { return bytes.Contains(r, []byte(request)) }) {
			t.Errorf("a request of %d bytes did not arrive as it was", len(request))
		}
	}
	if n != total {
		t.Errorf("%d bytes arrived, %d were sent", n, total)
	}
	calls, _ := b.took()
	for _, want := range passed {
		is := func(c wireCall) bool {
			return c == want || merge && c.encoding == want.encoding && strings.Contains(c.body, want.body)
		}
		if !slices.ContainsFunc(calls, is) {
			t.Errorf("a request in %s did not arrive in the same bytes", want.encoding)
		}
	}
}

// What waits in a queue as it came leaves as the exporter of a new configuration wants it.
func TestReloadWithCompressedRequests(t *testing.T) {
	t.Parallel()
	for _, exporter := range []string{"compression: zstd", "compression: gzip\n    compressed_passthrough: off", "compression: gzip\n    compressed_merge: true", "compression: none"} {
		t.Run(exporter, func(t *testing.T) {
			t.Parallel()
			b, dir := newWireBackend(t), t.TempDir()
			b.down.Store(true)
			yaml := fmt.Sprintf(compressedYAML, b.URL, dir, "gzip", "matching", false, "{storage: file_storage}")
			p := startPlaced(t, Options{}, yaml, nil)
			plain := map[string]int{}
			total := 0
			for i := range 5 {
				request := testkit.Request(rand.New(rand.NewPCG(1, uint64(i))), otlp.Logs, 100)
				post(t, p.http, wireCall{"gzip", string(testkit.Compress(pipeline.CodecGzip, request))})
				plain[string(request)]++
				total += len(request)
			}
			next := strings.NewReplacer("compression: gzip", exporter, "compressed_passthrough: matching", "", "compressed_merge: false", "").Replace(yaml)
			if _, err := p.reload(t, next); err != nil {
				t.Fatal(err)
			}
			b.down.Store(false)
			testkit.Eventually(t, "all requests", func() bool {
				calls, _ := b.took()
				n := 0
				for _, c := range calls {
					n += len(plainOf(t, c))
				}
				return n == total
			})
			calls, _ := b.took()
			_, want, _ := strings.Cut(strings.Split(exporter, "\n")[0], ": ")
			for _, c := range calls {
				if c.encoding != strings.Replace(want, "none", "", 1) {
					t.Errorf("a request arrived in %q", c.encoding)
				}
			}
			for request := range plain {
				if !slices.ContainsFunc(calls, func(c wireCall) bool { return strings.Contains(string(plainOf(t, c)), request) }) {
					t.Errorf("a request of %d bytes did not arrive as it was", len(request))
				}
			}
			p.stop(t)
		})
	}
}

// plainOf decompresses a request.
func plainOf(t *testing.T, c wireCall) []byte {
	t.Helper()
	if c.encoding == "" {
		return []byte(c.body)
	}
	plain, err := testkit.Decompress(codecOf(t, c.encoding), []byte(c.body))
	if err != nil {
		t.Fatalf("%s: %v", c.encoding, err)
	}
	return plain
}
