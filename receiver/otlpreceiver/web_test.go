package otlpreceiver

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// What browsers need: CORS and headers of the answer.

func corsConfig(c CORSConfig, h http.Header) Config {
	cfg := onePortConfig("tcp", "127.0.0.1:0", withAuth())
	web := new(*cfg.Protocols.HTTP)
	web.CORS = &c
	for name := range h {
		web.ResponseHeaders = append(web.ResponseHeaders, config.Header{Name: name, Value: config.Secret(h.Get(name))})
	}
	return Config{Protocols: Protocols{HTTP: web}}
}

func preflight(origin, headers string) http.Header {
	h := http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}}
	if headers != "" {
		h.Set("Access-Control-Request-Headers", headers)
	}
	return h
}

func TestCORS(t *testing.T) {
	t.Parallel()
	r := newRigWith(t, corsConfig(CORSConfig{
		AllowedOrigins: []string{"https://app.example", "https://*.wild.example"},
		AllowedHeaders: []string{"X-Custom"}, ExposedHeaders: []string{"X-Served-By"}, MaxAge: 7200,
	}, http.Header{"X-Served-By": {"penstock"}}), setup{auth: &bearer{}})
	for _, tt := range []struct {
		origin  string
		allowed bool
	}{
		{"https://app.example", true}, {"https://a.b.wild.example", true}, {"https://wild.example", false},
		{"http://app.example", false}, {"https://app.example.evil.example", false}, {"https://evil.example", false}, {"null", false},
	} {
		// A browser asks without credentials, and is answered without.
		req := preflight(tt.origin, "x-custom")
		resp := r.do(http.MethodOptions, "/v1/traces", req, nil)
		allow := resp.Header.Get("Access-Control-Allow-Origin")
		status := map[bool]int{true: http.StatusNoContent, false: http.StatusForbidden}[tt.allowed]
		if tt.allowed != (allow == tt.origin) || !tt.allowed && allow != "" || resp.StatusCode != status {
			t.Errorf("preflight of %s: %d, allowed is %q", tt.origin, resp.StatusCode, allow)
		}
		if tt.allowed {
			for name, want := range map[string]string{
				"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "x-custom",
				"Access-Control-Max-Age": "7200", "Access-Control-Allow-Credentials": "true",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("preflight of %s: %s is %q, want %q", tt.origin, name, got, want)
				}
			}
		} else if c := resp.Header.Get("Access-Control-Allow-Credentials"); c != "" {
			t.Errorf("preflight of %s: credentials %q", tt.origin, c)
		}
		if got := resp.Header.Get("X-Served-By"); got != "penstock" {
			t.Errorf("preflight of %s without the response header: %q", tt.origin, got)
		}
		// The request itself is judged by its credentials, and the page may read the
		// answer if its origin is allowed, success or not.
		for token, status := range map[string]int{"good": 200, "wrong": 401} {
			a := r.request(http.MethodPost, "/v1/traces", http.Header{"Origin": {tt.origin}, "Content-Type": {"application/x-protobuf"},
				"Authorization": {"Bearer " + token}}, request(otlp.Traces, 1))
			allow, exposed := a.header.Get("Access-Control-Allow-Origin"), a.header.Get("Access-Control-Expose-Headers")
			if a.http != status || tt.allowed != (allow == tt.origin) || tt.allowed != (exposed == "X-Served-By") || !tt.allowed && allow != "" {
				t.Errorf("%s %s: %d, allowed is %q, exposed %q", tt.origin, token, a.http, allow, exposed)
			}
			if !slices.Contains(a.header.Values("Vary"), "Origin") {
				t.Errorf("%s %s: Vary is %q", tt.origin, token, a.header.Values("Vary"))
			}
		}
	}
	if resp := r.do(http.MethodOptions, "/v1/traces", preflight("https://app.example", "x-other"), nil); resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a header that is not allowed passed the preflight")
	}
	if n := r.sink.Calls(); n != 7 {
		t.Errorf("%d requests arrived, want the 7 with credentials", n)
	}
}

// do sends a request and reads the answer whole.
func (r *rig) do(method, path string, header http.Header, body []byte) *http.Response {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.HTTPAddr().String()+path, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header = header
	resp, err := r.web.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

// With * every page may send, but none may use the user's credentials: the
// response contains no origin.
func TestCORSForAllNamesNobody(t *testing.T) {
	t.Parallel()
	r := newRigWith(t, corsConfig(CORSConfig{AllowedOrigins: []string{"*"}}, nil), setup{auth: &bearer{}})
	const origin = "https://evil.example"
	resp := r.do(http.MethodOptions, "/v1/traces", preflight(origin, "content-type"), nil)
	if allow := resp.Header.Get("Access-Control-Allow-Origin"); allow != "*" {
		t.Errorf("preflight: allowed is %q, want *", allow)
	}
	resp = r.do(http.MethodPost, "/v1/traces", http.Header{"Origin": {origin}, "Content-Type": {"application/json"}, "Authorization": {"Bearer good"}}, []byte("{}"))
	if allow := resp.Header.Get("Access-Control-Allow-Origin"); allow != "*" || resp.StatusCode != 200 {
		t.Errorf("%d, allowed is %q, want *", resp.StatusCode, allow)
	}
}

func TestCORSIsOffWithoutOrigins(t *testing.T) {
	t.Parallel()
	cfg := corsConfig(CORSConfig{AllowedHeaders: []string{"x-a"}}, nil)
	r := newRigWith(t, cfg, setup{auth: &bearer{}})
	resp := r.do(http.MethodOptions, "/v1/traces", preflight("https://app.example", ""), nil)
	if resp.StatusCode != http.StatusForbidden || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v, want a refusal", resp.StatusCode, resp.Header)
	}
	if all := cfg.Warnings(); len(all) != 1 || !strings.Contains(all[0], "allowed headers but no allowed origins") {
		t.Errorf("warnings %q", all)
	}
}

func TestResponseHeaders(t *testing.T) {
	t.Parallel()
	r := httpRig(t, func(h *HTTPConfig) {
		h.ResponseHeaders = config.Headers{{Name: "x-served-by", Value: "penstock"}, {Name: "content-type", Value: "text/plain"}}
	})
	for path, want := range map[string]int{"/v1/logs": 200, "/nowhere": 404} {
		a := r.request(http.MethodPost, path, http.Header{"Content-Type": {"application/x-protobuf"}}, request(otlp.Logs, 1))
		if a.http != want || a.header.Get("X-Served-By") != "penstock" {
			t.Errorf("%s: %d %v", path, a.http, a.header)
		}
		if got := a.header.Values("Content-Type"); len(got) != 1 || got[0] != "application/x-protobuf" {
			t.Errorf("%s: a header took the place of the answer's own: %q", path, got)
		}
	}
}

func TestCompressionAlgorithms(t *testing.T) {
	t.Parallel()
	all := append(config.Encodings(), "")
	body := request(otlp.Logs, 100)
	for name, tt := range map[string]struct {
		yaml  string
		taken []string
		text  string // of the refusals
	}{
		"default":      {"", all, ""},
		"list":         {`compression_algorithms: ["", gzip, snappy]`, []string{"", "gzip", "snappy"}, "expected gzip, snappy or none"},
		"without none": {`compression_algorithms: [zstd]`, []string{"zstd"}, "expected zstd"},
		"empty":        {`compression_algorithms: []`, []string{""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := decode(t, "protocols: {http: {endpoint: \"127.0.0.1:0\", "+tt.yaml+"}}")
			if err != nil {
				t.Fatal(err)
			}
			r := newRig(t, cfg)
			for _, encoding := range slices.Concat(all, []string{"identity", "GZIP", "x-gzip"}) {
				coding := map[string]string{"identity": "", "GZIP": "gzip", "x-gzip": "gzip"}[encoding]
				if coding == "" && encoding != "identity" {
					coding = encoding
				}
				h := http.Header{"Content-Type": {"application/x-protobuf"}}
				if encoding != "" {
					h.Set("Content-Encoding", encoding)
				}
				before := len(r.sink.All())
				a := r.request(http.MethodPost, "/v1/logs", h, compressed(coding, body))
				if want := slices.Contains(tt.taken, coding); a.ok() != want {
					t.Errorf("%q: %d %v, want success %v", encoding, a.http, a.status, want)
				} else if want && !bytes.Equal(r.sink.All()[before].Bytes, body) {
					t.Errorf("%q: other bytes arrived", encoding)
				} else if !want && (a.http != 400 || codes.Code(a.status.Code) != codes.InvalidArgument || !strings.Contains(a.status.Message, tt.text)) {
					t.Errorf("%q: %d %v, want 400 with %q", encoding, a.http, a.status, tt.text)
				}
			}
		})
	}
	if _, err := decode(t, `protocols: {http: {compression_algorithms: [gzib]}}`); err == nil || !strings.Contains(err.Error(), `"gzib"`) || !strings.Contains(err.Error(), "gzip") {
		t.Errorf("an unknown name: %v", err)
	}
}

// The consumer sees the headers that were asked for, and only those.
func TestMetadataEverywhere(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		set Metadata
		has map[string][]string
		not []string
		all bool
	}{
		"none": {Metadata{}, nil, []string{"x-tenant", "host"}, false},
		"list": {Metadata{Names: []string{"x-tenant", "host", "x-missing"}}, map[string][]string{"x-tenant": {"a", "b"}}, []string{"traceparent", "x-missing"}, false},
		"all":  {Metadata{All: true}, map[string][]string{"x-tenant": {"a", "b"}, "traceparent": {testTraceparent}}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := func(s *ServerConfig) { s.IncludeMetadata = want.set }
			eachServer(t, change, func(t *testing.T, cfg Config, ca *tlstest.Authority) {
				r := newRig(t, cfg)
				for _, c := range allClients(t, r, ca) {
					before := len(r.sink.All())
					if a := c.send(t, c.target(otlp.Logs), "", request(otlp.Logs, 1)); !a.ok() {
						t.Fatalf("%s: %v", c.name, a.status)
					}
					got := r.sink.All()[before].Client.Metadata
					for key, values := range want.has {
						if !slices.Equal(got[key], values) {
							t.Errorf("%s: %s is %q, want %q", c.name, key, got[key], values)
						}
					}
					for _, key := range want.not {
						if got[key] != nil {
							t.Errorf("%s: %s is there: %q", c.name, key, got[key])
						}
					}
					if wanted := want.set.All || len(want.set.Names) > 0; wanted != (len(got["host"]) == 1) {
						t.Errorf("%s: host is %q", c.name, got["host"])
					}
					for key := range got {
						if key != strings.ToLower(key) {
							t.Errorf("%s: key %q is not in lower case", c.name, key)
						}
					}
				}
			})
		})
	}
}

// What the consumer keeps of the headers does not change behind its back.
func TestMetadataOutlivesTheRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, onePortConfig("tcp", "127.0.0.1:0", func(s *ServerConfig) { s.IncludeMetadata = Metadata{All: true} }))
	kept := make(chan *pipeline.Batch, 100)
	r.sink.Respond(func(_ context.Context, b *pipeline.Batch) error {
		kept <- b.Retain()
		return nil
	})
	for _, c := range allClients(t, r, nil) {
		for range 10 {
			c.send(t, c.target(otlp.Logs), "", request(otlp.Logs, 1))
		}
	}
	for len(kept) > 0 {
		b := <-kept
		if got := b.Client().Metadata["x-tenant"]; !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("x-tenant became %q", got)
		}
		b.Release()
	}
}
