package otlpreceiver

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// FuzzHTTPHandler sends any body in any coding to any signal. The answer is one
// of the documented statuses with a readable body, a success means that the
// consumer saw a valid request, and nothing is leaked.
func FuzzHTTPHandler(f *testing.F) {
	encodings := []string{"", "gzip", "zstd"}
	types := []string{"application/x-protobuf", "application/json", ""}
	for _, s := range otlp.Signals() {
		for e, encoding := range encodings {
			f.Add(uint8(s), uint8(e), uint8(0), compress(encoding, request(s, 3)))
		}
	}
	for _, bad := range badData() {
		f.Add(uint8(bad.signal), uint8(0), uint8(0), bad.body)
	}
	f.Add(uint8(1), uint8(1), uint8(1), []byte("{}"))

	const limit = 1 << 16
	c := DefaultHTTPConfig()
	c.MaxRequestBodySize = limit
	r, err := New(testConfig(), pipeline.Settings{})
	if err != nil {
		f.Fatal(err)
	}
	s := &sink{}
	for _, sig := range otlp.Signals() {
		if err := r.Register(sig, s); err != nil {
			f.Fatal(err)
		}
	}
	intakes, err := r.intakes("http")
	if err != nil {
		f.Fatal(err)
	}
	paths, err := c.routes()
	if err != nil {
		f.Fatal(err)
	}
	h := newHTTPHandler(&c, paths, intakes, &r.gate)
	f.Fuzz(func(t *testing.T, signal, encoding, contentType uint8, body []byte) {
		sig := otlp.Signals()[signal%4]
		req := httptest.NewRequest(http.MethodPost, sig.Spec().Path, bytes.NewReader(body))
		req.Header.Set("Content-Type", types[int(contentType)%len(types)])
		req.Header.Set("Content-Encoding", encodings[int(encoding)%len(encodings)])
		s.seen = nil
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
		for _, b := range s.seen {
			if n, err := otlp.Check(sig, b.data); err != nil || n != b.items || len(b.data) > limit {
				t.Errorf("the consumer saw %d bytes, %d items, which Check calls %d, %v", len(b.data), b.items, n, err)
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
