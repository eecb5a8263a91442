package oauth2clientextension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// tokens is a server of tokens "t1", "t2", ...
type tokens struct {
	*httptest.Server
	fetched atomic.Int32
	life    atomic.Int32 // seconds; 0: the token has no expiry
	down    atomic.Bool
	hold    chan struct{}
}

func serve(t *testing.T) *tokens {
	s := &tokens{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := s.fetched.Add(1)
		if s.hold != nil {
			select {
			case <-s.hold:
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if s.down.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"no such client","secret":"s3cret"}`)
			return
		}
		expires := ""
		if life := s.life.Load(); life > 0 {
			expires = fmt.Sprintf(`,"expires_in":%d`, life)
		}
		fmt.Fprintf(w, `{"access_token":"t%d","token_type":"bearer"%s}`, n, expires)
	}))
	t.Cleanup(s.Close)
	return s
}

func start(t *testing.T, yaml string) *Extension {
	t.Helper()
	cfg := DefaultConfig()
	if err := testkit.Decode(t, yaml, &cfg); err != nil {
		t.Fatal(err)
	}
	e, err := New(cfg, component.Settings{ID: "oauth2client"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func (e *Extension) header(t *testing.T) string {
	t.Helper()
	headers := map[string]string{"authorization": "static"}
	if err := e.AddCredentials(t.Context(), nil, headers); err != nil {
		return err.Error()
	}
	return headers["authorization"]
}

// A token is used until its buffer before the expiry, at most half of its life.
func TestTokenIsRenewed(t *testing.T) {
	s := serve(t)
	s.life.Store(3600)
	e := start(t, "{client_id: a, client_secret: b, token_url: '"+s.URL+"', expiry_buffer: 1m}")
	passed := time.Duration(0)
	e.now = func() time.Time { return time.Now().Add(passed) }
	for _, c := range []struct {
		at   time.Duration
		want string
	}{{0, "Bearer t1"}, {58 * time.Minute, "Bearer t1"}, {59*time.Minute + time.Second, "Bearer t2"}} {
		if passed = c.at; e.header(t) != c.want {
			t.Errorf("after %s: %s, want %s", c.at, e.header(t), c.want)
		}
	}
	s.life.Store(20) // less than the buffer
	e.current.Store(nil)
	passed = 0
	first := e.header(t)
	if passed = 8 * time.Second; e.header(t) != first {
		t.Error("a token with a short life was fetched again in the first half of it")
	}
	if passed = 11 * time.Second; e.header(t) == first {
		t.Error("a token with a short life was not renewed after half of it")
	}
	s.life.Store(0)
	e.current.Store(nil)
	first = e.header(t)
	if passed = 1000 * time.Hour; e.header(t) != first {
		t.Error("a token without expiry was renewed")
	}
}

// While the server is down, a token is used until it expires; then the error is
// retryable, is not asked for more than once a second, and has no secret.
func TestServerIsDown(t *testing.T) {
	s := serve(t)
	s.life.Store(3600)
	e := start(t, "{client_id: a, client_secret: b, token_url: '"+s.URL+"'}")
	passed := time.Duration(0)
	now := time.Now()
	e.now = func() time.Time { return now.Add(passed) }
	e.header(t)
	s.down.Store(true)
	if passed = 59 * time.Minute; e.header(t) != "Bearer t1" {
		t.Errorf("got %s, want the token that has not expired", e.header(t))
	}
	passed = 2 * time.Hour
	err := e.AddCredentials(t.Context(), nil, map[string]string{})
	var refusal *pipeline.Error
	if !errors.As(err, &refusal) || refusal.Kind != pipeline.Retryable || refusal.RetryAfter != time.Second {
		t.Errorf("got %+v, want a retryable error", err)
	}
	want := "fetch a token from " + s.URL + `: the server refused with HTTP status 401 Unauthorized: "invalid_client": "no such client"`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	before := s.fetched.Load()
	for range 10 {
		e.header(t)
	}
	if n := s.fetched.Load() - before; n != 0 {
		t.Errorf("%d requests in the second after a failure", n)
	}
	s.down.Store(false)
	if passed += 2 * time.Second; !strings.HasPrefix(e.header(t), "Bearer t") {
		t.Error("no token after the server works again")
	}
}

// Requests that need a token at the same time wait for one fetch, each until its end.
func TestOneFetchAtATime(t *testing.T) {
	s := serve(t)
	s.hold = make(chan struct{})
	e := start(t, "{client_id: a, client_secret: b, token_url: '"+s.URL+"'}")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			headers := map[string]string{}
			if err := e.AddCredentials(t.Context(), nil, headers); err != nil || headers["authorization"] != "Bearer t1" {
				t.Errorf("got %v, %v", headers, err)
			}
		})
	}
	for s.fetched.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.AddCredentials(ended, nil, map[string]string{}); err == nil || !errors.Is(err, context.Canceled) {
		t.Errorf("a request that has ended: %v", err)
	}
	close(s.hold)
	wg.Wait()
	if n := s.fetched.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// The end of one request is not a failure of the server.
func TestEndOfARequestIsNoFailure(t *testing.T) {
	s := serve(t)
	s.hold = make(chan struct{})
	e := start(t, "{client_id: a, client_secret: b, token_url: '"+s.URL+"'}")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- e.AddCredentials(ctx, nil, map[string]string{}) }()
	for s.fetched.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("got credentials after the end of the request")
	}
	close(s.hold)
	if got := e.header(t); got != "Bearer t2" {
		t.Errorf("the next request: %s", got)
	}
}

// The secret is not sent to where the server redirects.
func TestTokenServerRedirects(t *testing.T) {
	var other atomic.Int32
	to := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { other.Add(1) }))
	t.Cleanup(to.Close)
	from := httptest.NewServer(http.RedirectHandler(to.URL, http.StatusTemporaryRedirect))
	t.Cleanup(from.Close)
	e := start(t, "{client_id: a, client_secret: b, token_url: '"+from.URL+"'}")
	if got := e.header(t); !strings.Contains(got, "HTTP status 307") || other.Load() != 0 {
		t.Errorf("got %s, %d requests to the other server", got, other.Load())
	}
}

func TestFilesOfCredentials(t *testing.T) {
	var got atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		got.Store(user + ":" + password)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"x"}`)
	}))
	t.Cleanup(s.Close)
	dir := t.TempDir()
	yaml := fmt.Sprintf("{client_id_file: %s/id, client_secret_file: %[1]s/secret, token_url: '%s'}", dir, s.URL)
	cfg := DefaultConfig()
	if err := testkit.Decode(t, yaml, &cfg); err != nil {
		t.Fatal(err)
	}
	e, err := New(cfg, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "_file: open "+dir) {
		t.Errorf("without files: %v", err)
	}
	for name, text := range map[string]string{"id": "me\n", "secret": "s3cret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if h := start(t, yaml).header(t); h != "Bearer x" || got.Load() != "me:s3cret" {
		t.Errorf("header %s, the server got %v", h, got.Load())
	}
}

func TestConfigErrors(t *testing.T) {
	const rest = "client_id: a, client_secret: b, token_url: 'http://h/t'"
	for yaml, want := range map[string]string{
		"{client_secret: b, token_url: 'http://h/t'}":                             "client_id: expected client_id or client_id_file",
		"{client_id: a, token_url: 'http://h/t'}":                                 "client_secret: expected client_secret or client_secret_file",
		"{client_id: a, client_secret: b}":                                        "token_url: no URL is set",
		"{client_id: a, client_secret: b, token_url: 'ftp://u:s3cret@h'}":         "token_url: endpoint",
		"{" + rest + ", grant_type: urn:ietf:params:oauth:grant-type:jwt-bearer}": "grant_type: expected client_credentials",
		"{" + rest + ", timeout: -1s}":                                            "timeout: expected 0 or more",
		"{" + rest + ", expiry_buffer: -1s}":                                      "expiry_buffer: expected 0 or more",
		"{" + rest + ", tls: {min_version: '9'}}":                                 "tls",
	} {
		cfg := DefaultConfig()
		if err := testkit.Decode(t, yaml, &cfg); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want %s", yaml, err, want)
		}
	}
}
