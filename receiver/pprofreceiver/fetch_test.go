package pprofreceiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func packed(t testing.TB, times int, data []byte) []byte {
	t.Helper()
	for range times {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		data = b.Bytes()
	}
	return data
}

func plainProfile(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := makeProfile(lockTypes, time.Now(), program, 0, simple("a", 1, 1)).WriteUncompressed(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// A redirect to another scheme, host or port gets no header, user or cookie of the
// target.
func TestRedirectsKeepSecrets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to       string
		refused, plain bool
	}{
		{"http://h:6060/a", "http://h:6060/b", false, false},
		{"http://h/a", "http://h:80/b", false, false},
		{"https://h/a", "https://h:443/b", false, false},
		{"http://h/a", "https://h/b", false, true},
		{"http://h:80/a", "https://h:443/b", false, true},
		{"http://h/a", "https://h:8443/b", true, false},
		{"http://h:6060/a", "https://h:6060/b", false, true},
		{"http://h:6060/a", "http://h:6061/b", true, false},
		{"http://h:6060/a", "http://h/b", true, false},
		{"https://h/a", "http://h/b", true, false},
		{"https://h:1/a", "http://h:1/b", true, false},
		{"http://h/a", "http://sub.h/b", true, false},
		{"http://h:6060/a", "http://127.0.0.1:6060/b", true, false},
	} {
		secrets := http.Header{"User-Agent": {userAgent}, "Authorization": {"s3cret"}, "X-Api-Key": {"s3cret"}, "Cookie": {"s3cret"}, "Referer": {"s3cret"}}
		from, err1 := http.NewRequest(http.MethodGet, c.from, nil)
		to, err2 := http.NewRequest(http.MethodGet, c.to, nil)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		to.Header, to.URL.User = secrets.Clone(), url.UserPassword("ann", "s3cret")
		err := sameHost(to, []*http.Request{from})
		if (err != nil) != c.refused {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
		if plain := to.URL.User == nil && len(to.Header) == 1; plain != c.plain {
			t.Errorf("%s to %s: the user is %v, the headers are %v", c.from, c.to, to.URL.User, to.Header)
		}
	}
}

// Whatever a target does, the fetch ends with a cause that is right and a message
// that says what to do.
func TestFailures(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, answering(http.StatusOK, "secrets, please"))
	for name, c := range map[string]struct {
		target http.Handler
		cause  cause
		says   string
	}{
		"not found":         {http.NotFoundHandler(), causeNotFound, "is net/http/pprof imported there?"},
		"no login":          {answering(http.StatusUnauthorized, "who are you"), causeDenied, "credentials"},
		"no entry":          {answering(http.StatusForbidden, ""), causeDenied, "credentials"},
		"CPU in use":        {answering(http.StatusInternalServerError, "Could not enable CPU profiling: cpu profiling already in use\n"), causeBusy, "only one at a time"},
		"broken":            {answering(http.StatusBadGateway, "oh dear\nline two"), causeStatus, `502 Bad Gateway\": \"oh dear`},
		"no content":        {answering(http.StatusNoContent, ""), causeStatus, "204"},
		"a page":            {answering(http.StatusOK, "<html><body>Welcome</body></html>"), causeNotPprof, "expected pprof"},
		"text":              {answering(http.StatusOK, "goroutine profile: total 1\n1 @ 0x1 0x2\n"), causeNotPprof, "expected pprof"},
		"nothing":           {answering(http.StatusOK, ""), causeNotPprof, "empty"},
		"harmless protobuf": {answering(http.StatusOK, "\x32\x00\x48\x01"), causeNotPprof, "no sample types"},
		"half a gzip":       {answering(http.StatusOK, string(packed(t, 1, plainProfile(t))[:40])), causeNotPprof, "decompress"},
		"half a protobuf":   {answering(http.StatusOK, string(plainProfile(t)[:40])), causeNotPprof, "expected pprof"},
		"no end": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.Copy(w, zeros{})
		}), causeTooLarge, "max_profile_bytes"},
		"a bomb":               {answering(http.StatusOK, string(packed(t, 1, make([]byte, 1<<23)))), causeTooLarge, "max_profile_bytes"},
		"a bomb in a bomb":     {answering(http.StatusOK, string(packed(t, 2, make([]byte, 1<<23)))), causeTooLarge, "max_profile_bytes"},
		"empty messages":       {answering(http.StatusOK, string(packed(t, 1, bytes.Repeat([]byte{0x12, 0}, 1<<19)))), causeTooLarge, "in memory"},
		"redirects":            {http.RedirectHandler("/debug/pprof/heap", http.StatusFound), causeRedirect, "more than 3 times"},
		"redirect away":        {http.RedirectHandler("http://localhost.example:1/x", http.StatusFound), causeRedirect, "localhost.example"},
		"same host other port": {http.RedirectHandler("http://"+elsewhere+"/", http.StatusFound), causeRedirect, "another port"},
		"hang up":              {http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), causeTransport, "EOF"},
		"endless head": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", maxHeaderBytes))
		}), causeTransport, "header"},
		"silence": {http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), causeTimeout, ""},
		"trickle": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write([]byte{0x1f})
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}), causeTimeout, "read the profile"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := one(serve(t, c.target), "heap")
			cfg.MaxProfileBytes = 1 << 20
			if c.cause == causeTimeout {
				cfg.HTTP.Timeout = 300 * time.Millisecond
			}
			r := newRig(t, cfg)
			r.rounds(2)
			if got, want := r.failed(), fmt.Sprintf("map[%s:2]", c.cause); got != want {
				t.Errorf("failures %s, want %s", got, want)
			}
			lines := r.log.Lines("")
			if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], c.says) || !strings.Contains(lines[0], "cause="+string(c.cause)) {
				t.Errorf("want one warning with %q and the cause %s, got\n%s", c.says, c.cause, strings.Join(lines, "\n"))
			}
			if s := r.Status()[0]; s.Fetches != 2 || s.Failures != 2 || s.Problem == "" || !s.Last.IsZero() {
				t.Errorf("status %+v", s)
			}
			if len(r.sink.calls()) != 0 {
				t.Error("something was reported")
			}
		})
	}
}

func TestNothingListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	cfg := one(l.Addr().String(), "heap")
	cfg.Profiles = DefaultProfiles()
	r := newRig(t, cfg)
	r.rounds(3)
	// The CPU profile and one other each round: the rest is not asked for.
	if got := r.failed(); got != "map[refused:6]" {
		t.Errorf("failures %s, want 6 refused", got)
	}
	if lines := r.log.Lines(""); len(lines) != 1 {
		t.Errorf("one failure was logged %d times:\n%s", len(lines), strings.Join(lines, "\n"))
	}
}

// Bombs cost no more than what is allowed.
func TestMemoryIsBounded(t *testing.T) {
	bomb := packed(t, 1, make([]byte, 1<<24))
	messages := bytes.Repeat([]byte{0x12, 0}, 1<<19) // 1 MiB that would be 64 MiB of samples
	labels := bytes.Repeat(append([]byte{0x12, 20}, bytes.Repeat([]byte{0x1a, 0}, 10)...), 1<<15)
	for name, data := range map[string][]byte{"zeros": bomb, "samples": messages, "labels": labels} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parse(data, 1<<20, nil, false)
		runtime.ReadMemStats(&after)
		if causeOf(err) != causeTooLarge {
			t.Errorf("%s: got %v, want the cause %s", name, err, causeTooLarge)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 12<<20 {
			t.Errorf("%s: %d bytes were allocated for a limit of 1 MiB", name, used)
		}
	}
}

func TestBadBytesDoNotPanic(t *testing.T) {
	t.Parallel()
	good := plainProfile(t)
	for i := range good {
		for _, bit := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= bit
			if _, err := parse(bad, 1<<20, nil, false); err != nil && causeOf(err) != causeNotPprof && causeOf(err) != causeTooLarge {
				t.Errorf("byte %d: %v has the cause %s", i, err, causeOf(err))
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(plainProfile(f))
	f.Add(packed(f, 2, plainProfile(f)))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = parse(data, 1<<16, nil, true) // it must return
		p, err := parse(data, 1<<16, nil, false)
		if (p == nil) == (err == nil) {
			t.Fatal("neither a profile nor an error, or both")
		}
		if err != nil {
			return
		}
		// What passes can be reported.
		r := newRig(t, one("localhost:1", "heap"))
		for range 2 {
			asked := time.Now()
			if _, err := r.deliver(r.targets[0].jobs[0], &answer{p: p, asked: asked, done: asked}); err != nil && causeOf(err) == causeSink {
				t.Fatal(err)
			}
		}
	})
}

// A proxy may compress again.
func TestLayersOfCompression(t *testing.T) {
	t.Parallel()
	for layers := range 3 {
		if _, err := parse(packed(t, layers, plainProfile(t)), 1<<20, nil, false); err != nil {
			t.Errorf("%d layers: %v", layers, err)
		}
	}
	if _, err := parse(packed(t, 3, plainProfile(t)), 1<<20, nil, false); causeOf(err) != causeNotPprof {
		t.Errorf("three layers: got %v", err)
	}
}

func TestHeadersGoWithEachFetch(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		w.Write(plainProfile(t))
	}))
	cfg := one("http://user:secret@"+addr+"/admin/", "heap")
	cfg.HTTP.Headers = config.Headers{{Name: "X-Token", Value: "t"}, {Name: "host", Value: "shop.internal"}}
	r := newRig(t, cfg)
	r.rounds(1)
	got := <-seen
	user, password, _ := got.BasicAuth()
	if got.URL.Path != "/admin/heap" || got.Header.Get("X-Token") != "t" || got.Host != "shop.internal" || user != "user" || password != "secret" {
		t.Errorf("got %s of %s with %v", got.URL, got.Host, got.Header)
	}
	if s := r.Status()[0]; s.Name != addr {
		t.Errorf("the target is called %q", s.Name)
	}
}

// authFunc is an extension that adds credentials.
type authFunc func(headers map[string]string) error

func (f authFunc) AddCredentials(_ context.Context, _ *pipeline.Client, headers map[string]string) error {
	return f(headers)
}

// The credentials of an extension go with each fetch, beside the headers of the
// settings and instead of the user of the URL.
func TestCredentialsOfAnExtension(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		w.Write(plainProfile(t))
	}))
	cfg := one("http://user:secret@"+addr, "heap")
	cfg.HTTP.Headers = config.Headers{{Name: "X-Token", Value: "t"}}
	cfg.HTTP.Auth = &config.ClientAuth{Authenticator: "bearertokenauth"}
	if needs := cfg.Needs(); len(needs) != 1 || needs[0] != (component.Need{Key: "auth.authenticator", ID: "bearertokenauth", Role: component.RoleClientAuthenticator}) {
		t.Errorf("it needs %v", needs)
	}
	var broken atomic.Bool
	set := settings()
	set.Extension = func(id string) (any, bool) {
		return authFunc(func(headers map[string]string) error {
			if broken.Load() {
				return errors.New("no token")
			}
			headers["authorization"] = "Bearer " + headers["x-token"]
			return nil
		}), id == "bearertokenauth"
	}
	r := newRigWith(t, cfg, set)
	r.rounds(1)
	if got := <-seen; got.Header.Get("Authorization") != "Bearer t" || got.Header.Get("X-Token") != "t" || got.UserAgent() != userAgent {
		t.Errorf("the headers are %v", got.Header)
	}
	broken.Store(true)
	r.rounds(1)
	if text := strings.Join(r.log.Lines(""), "\n"); len(seen) > 0 || r.Stats().Failures[string(causeDenied)] != 1 || !strings.Contains(text, "no token") {
		t.Errorf("without credentials: %d requests, %v, log: %s", len(seen), r.Stats().Failures, text)
	}
}

// A program without such an extension does not fetch without credentials.
func TestCredentialsAreRequired(t *testing.T) {
	t.Parallel()
	for want, found := range map[string]any{"authenticator not found": nil, "is not a client authenticator": struct{}{}} {
		cfg := one("http://h", "heap")
		cfg.HTTP.Auth = &config.ClientAuth{Authenticator: "basicauth"}
		set := settings()
		set.Extension = func(string) (any, bool) { return found, found != nil }
		if _, err := NewEngine(cfg, set, &recorder{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestPasswordsAreNotLogged(t *testing.T) {
	t.Parallel()
	r := newRig(t, one("http://user:secret@127.0.0.1:1", "heap"))
	r.rounds(1)
	if text := strings.Join(r.log.Lines(""), "\n"); text == "" || strings.Contains(text, "secret") {
		t.Errorf("log: %s", text)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(plainProfile(t)) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	cfg := one(s.URL, "heap")
	r := newRig(t, cfg)
	r.rounds(1)
	if got := r.failed(); got != "map[transport:1]" {
		t.Errorf("an unknown certificate: failures %s", got)
	}
	pem := &bytes.Buffer{}
	fmt.Fprintf(pem, "-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n", base64Lines(s.Certificate().Raw))
	cfg.HTTP.TLS.CAPem = config.Secret(pem.String())
	r = newRig(t, cfg)
	r.rounds(1)
	if got := r.failed(); got != "map[]" {
		t.Errorf("a known certificate: failures %s\n%s", got, strings.Join(r.log.Lines(""), "\n"))
	}
}

// One warning when a target begins to fail, one line when it is back.
func TestFailureIsLoggedOnce(t *testing.T) {
	t.Parallel()
	state := make(chan http.Handler, 1)
	good := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(plainProfile(t)) })
	set := func(h http.Handler) {
		select {
		case <-state:
		default:
		}
		state <- h
	}
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := <-state
		state <- h
		h.ServeHTTP(w, r)
	}))
	cfg := one(addr, "heap")
	cfg.Profiles = ProfilesOf("heap", "goroutine", "mutex")
	r := newRig(t, cfg)
	for i, step := range []struct {
		target http.Handler
		rounds int
		lines  int
		last   string
	}{
		{good, 2, 0, ""},
		{http.NotFoundHandler(), 3, 1, "cause=not_found"},
		{answering(http.StatusBadGateway, ""), 3, 2, "cause=status"},
		{good, 3, 3, "a pprof target is back"},
		{answering(http.StatusBadGateway, ""), 1, 4, "cause=status"},
	} {
		set(step.target)
		r.rounds(step.rounds)
		lines := r.log.Lines("")
		if len(lines) != step.lines || step.lines > 0 && !strings.Contains(lines[len(lines)-1], step.last) {
			t.Fatalf("step %d: want %d lines, the last with %q, got\n%s", i, step.lines, step.last, strings.Join(lines, "\n"))
		}
	}
	if want := "failed_fetches=18"; !strings.Contains(r.log.Lines("")[2], want) {
		t.Errorf("want %s in %s", want, r.log.Lines("")[2])
	}
}

// closing is a body that looks, while it is closed, at how many places are taken.
type closing struct {
	io.Reader
	places chan struct{}
	taken  *[]int
}

func (c closing) Close() error {
	*c.taken = append(*c.taken, len(c.places))
	return nil
}

// A place is given back when the body that it is for is closed, not before: else
// there would be more bodies than places.
func TestAPlaceOutlivesItsBody(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]io.Reader{
		"whole": strings.NewReader("profile"), "too large": zeros{}, "broken": iotest.ErrReader(io.ErrUnexpectedEOF),
	} {
		places := make(chan struct{}, 1)
		var taken []int
		data, release, err := readAnswer(t.Context(), &paced{ReadCloser: closing{body, places, &taken}, within: time.Hour, late: func() {}}, places, 100, nil)
		if good := name == "whole"; (err == nil) != good || good != (string(data) == "profile") || good != (len(places) == 1) {
			t.Errorf("%s: %q, %v, %d places are taken", name, data, err, len(places))
		}
		if err == nil {
			release()
		}
		if len(places) != 0 || !slices.Equal(taken, []int{1}) {
			t.Errorf("%s: %v places were taken while the body was closed, expected 1 once; %d are taken after", name, taken, len(places))
		}
	}
}
