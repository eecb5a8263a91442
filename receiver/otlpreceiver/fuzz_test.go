package otlpreceiver

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// fuzzEncodings and fuzzTypes are what the fuzzer's numbers stand for.
var (
	fuzzEncodings = append([]string{""}, config.Encodings()...)
	fuzzTypes     = []string{"application/x-protobuf", "application/json", ""}
)

// fuzzLimit is the largest body, in bytes: the largest seed is well below it.
const fuzzLimit = 1 << 17

// fuzzSeed is one input of FuzzHTTPHandler, with the answer to it.
type fuzzSeed struct {
	signal, encoding, contentType uint8 // indices
	body                          []byte
	status                        int
}

func fuzzSeeds() (seeds []fuzzSeed) {
	signals := otlp.Signals()
	index := func(s otlp.Signal) uint8 { return uint8(slices.Index(signals[:], s)) }
	for _, s := range signals {
		for e, encoding := range fuzzEncodings {
			seeds = append(seeds, fuzzSeed{index(s), uint8(e), 0, compressed(encoding, request(s, 3)), http.StatusOK},
				fuzzSeed{index(s), uint8(e), 1, compressed(encoding, []byte(jsonRequests[s])), http.StatusOK})
		}
	}
	for _, bad := range badData() {
		seeds = append(seeds, fuzzSeed{index(bad.signal), 0, 0, bad.body, http.StatusBadRequest})
	}
	seeds = append(seeds, fuzzSeed{index(otlp.Metrics), 0, 1, []byte(growing(2000)), http.StatusOK})
	return append(seeds, fuzzSeed{1, 0, 2, []byte("{}"), http.StatusUnsupportedMediaType}, fuzzSeed{1, 0, 1, []byte("{"), http.StatusBadRequest},
		fuzzSeed{1, 1, 0, []byte("{}"), http.StatusBadRequest})
}

func (s fuzzSeed) request() *http.Request {
	signals := otlp.Signals()
	spec := signals[int(s.signal)%len(signals)].Spec()
	req := httptest.NewRequest(http.MethodPost, spec.Path, bytes.NewReader(s.body))
	req.Header.Set("Content-Type", fuzzTypes[int(s.contentType)%len(fuzzTypes)])
	req.Header.Set("Content-Encoding", fuzzEncodings[int(s.encoding)%len(fuzzEncodings)])
	return req
}

// fuzzHandler answers for all four signals.
func fuzzHandler(t testing.TB) (http.Handler, *testkit.Sink) {
	t.Helper()
	c := DefaultHTTPConfig()
	c.MaxRequestBodySize = fuzzLimit
	r, f, s := fuzzFrontEnd(t, "http")
	paths, err := c.routes()
	if err != nil {
		t.Fatal(err)
	}
	h, err := r.httpHandler(c, f, paths)
	if err != nil {
		t.Fatal(err)
	}
	peer := fuzzConn()
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		h.ServeHTTP(w, q.WithContext(context.WithValue(q.Context(), connKey{}, peer)))
		if used := f.Memory.Stats().Used; used != 0 || f.InFlight.Count() != 0 {
			t.Errorf("%d bytes are held, %d requests in flight", used, f.InFlight.Count())
		}
	}), s
}

// fuzzFrontEnd has a sink behind all signals, and a budget.
func fuzzFrontEnd(t testing.TB, transport string) (*Receiver, *frontend.FrontEnd, *testkit.Sink) {
	t.Helper()
	r, err := New(testConfig(), component.Settings{Memory: admission.New(admission.Config{Bytes: 1 << 30})})
	if err != nil {
		t.Fatal(err)
	}
	s := &testkit.Sink{}
	for _, sig := range otlp.Signals() {
		if err := r.Register(sig, s); err != nil {
			t.Fatal(err)
		}
	}
	all := &servers{}
	f, _, err := r.frontEnd(all, transport, &ServerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.closeMeasurements(all) })
	return r, f, s
}

func fuzzConn() *conns.Conn {
	c := &conns.Conn{Since: time.Now()}
	c.Peer.Host, c.Peer.Addr = "192.0.2.1", "192.0.2.1:1234"
	return c
}

// The fuzzer starts from requests that are taken, and from ones that fail late.
func TestFuzzSeeds(t *testing.T) {
	h, s := fuzzHandler(t)
	good := map[otlp.Signal]int{}
	for i, seed := range fuzzSeeds() {
		s.Reset()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, seed.request())
		if w.Code != seed.status {
			t.Errorf("seed %d, %d bytes of %s: status %d, want %d: %s", i, len(seed.body), otlp.Signals()[seed.signal], w.Code, seed.status, w.Body)
		}
		if w.Code != http.StatusOK {
			continue
		}
		if s.Calls() != 1 {
			t.Errorf("seed %d: the consumer saw %d requests, want 1", i, s.Calls())
		}
		good[otlp.Signals()[seed.signal]]++
	}
	for _, sig := range otlp.Signals() {
		if good[sig] < 2*len(fuzzEncodings) {
			t.Errorf("%s: %d good seeds, want one of each coding and format", sig, good[sig])
		}
	}
}

// FuzzHTTPHandler sends any body in any coding to any signal. The answer is one
// of the documented statuses with a readable body, a success means that the
// consumer saw a valid request, and nothing is leaked.
func FuzzHTTPHandler(f *testing.F) {
	for _, s := range fuzzSeeds() {
		f.Add(s.signal, s.encoding, s.contentType, s.body)
	}
	h, s := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, signal, encoding, contentType uint8, body []byte) {
		sig := otlp.Signals()[signal%4]
		req := fuzzSeed{signal: signal, encoding: encoding, contentType: contentType, body: body}.request()
		s.Reset()
		live := pipeline.Live()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if pipeline.Live() != live {
			t.Error("a batch was not released")
		}
		if !slices.Contains([]int{200, 400, 413, 415}, w.Code) {
			t.Fatalf("status %d", w.Code)
		}
		if w.Code != http.StatusOK {
			checkStatusBody(t, w)
			return
		}
		for _, b := range s.All() {
			if n, err := otlp.Check(sig, b.Bytes); err != nil || n != b.Items || len(b.Bytes) > fuzzLimit {
				t.Errorf("the consumer saw %d bytes, %d items, which Check calls %d, %v", len(b.Bytes), b.Items, n, err)
			}
		}
	})
}

func checkStatusBody(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	read := proto.Unmarshal
	if w.Header().Get("Content-Type") == "application/json" {
		read = protojson.Unmarshal
	}
	var st spb.Status
	if err := read(w.Body.Bytes(), &st); err != nil || st.Code == 0 || st.Message == "" {
		t.Errorf("%d with the body %q: %v, %v", w.Code, w.Body, &st, err)
	}
}
