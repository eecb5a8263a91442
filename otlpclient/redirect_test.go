package otlpclient

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

// A redirect within the host is followed, with the same body and credentials.
func TestHTTPRedirectsAreFollowed(t *testing.T) {
	t.Parallel()
	body := text(100)
	for _, status := range []int{307, 308} {
		var taken atomic.Int32
		s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			got, _ := io.ReadAll(r.Body)
			if r.URL.Path != "/clean/v1/traces" {
				http.Redirect(w, r, "/clean"+r.URL.Path, status)
				return
			}
			if _, password, _ := r.BasicAuth(); r.Method != http.MethodPost || !bytes.Equal(got, body) || password != "secret" {
				t.Errorf("%d: %s of %d bytes with the password %q", status, r.Method, len(got), password)
			}
			taken.Add(1)
		})
		base := strings.Replace(s.URL, "http://", "http://user:secret@", 1)
		if _, err := send(t, newHTTP(t, base, nil), otlp.Traces, body); err != nil || taken.Load() != 1 {
			t.Errorf("%d: %v, %d requests taken", status, err, taken.Load())
		}
	}
}

// A redirect that never ends is an error.
func TestHTTPRedirectsAreBounded(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		requests.Add(1)
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := send(t, newHTTP(t, s.URL, nil), otlp.Traces, text(100))
	var e *Error
	if !errors.As(err, &e) || e.Retryable || requests.Load() != maxRedirects+1 {
		t.Errorf("%v after %d requests", err, requests.Load())
	}
}

// Where a redirect may lead.
func TestRedirect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from     string
		status   int
		to, want string
	}{
		{"http://a/x", 308, "http://a/y", "http://a/y"},
		{"http://a/x", 307, "/y", "http://a/y"},
		{"http://u:p@a/x", 307, "/y", "http://u:p@a/y"},
		{"http://a/x", 308, "http://a:80/y", "http://a:80/y"},
		{"http://a/x", 308, "https://a/x", "https://a/x"},
		{"http://a:4318/x", 308, "https://a:4319/x", "https://a:4319/x"},
		{"https://a/x", 308, "http://a/x", ""},
		{"http://a/x", 308, "http://a:81/x", ""},
		{"http://a/x", 308, "http://b/x", ""},
		{"http://a/x", 308, "https://b/x", ""},
		{"http://a/x", 308, "ftp://a/x", ""},
		{"http://a/x", 308, "", ""},
		{"http://a/x", 301, "http://a/y", ""},
		{"http://a/x", 303, "http://a/y", ""},
		{"http://a/x", 200, "http://a/y", ""},
	} {
		from, err := url.Parse(tt.from)
		if err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		if tt.to != "" {
			rec.Header().Set("Location", tt.to)
		}
		rec.WriteHeader(tt.status)
		resp := rec.Result()
		resp.Request = &http.Request{URL: from}
		got := ""
		if u := redirect(resp); u != nil {
			got = u.String()
		}
		if got != tt.want {
			t.Errorf("%d from %s to %s: %q, want %q", tt.status, tt.from, tt.to, got, tt.want)
		}
	}
}
