package conf

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A URL is a source, and can be in a value; it is fetched once, and errors in it have
// its lines.
func TestHTTPSources(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/main.yaml", func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		fmt.Fprintf(w, "a: 1\nb: ${http://%s/part.yaml}\nc: 'x${http://%[1]s/text}'\n", r.Host)
	})
	mux.HandleFunc("/part.yaml", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "p: $$q\nr: [1,\n 2]\n") })
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "y$$") })
	mux.Handle("/moved", http.RedirectHandler("/main.yaml", http.StatusFound))
	mux.HandleFunc("/wrong", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a: 1\nb: [\n") })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxSourceBytes+1)) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	want := map[string]any{"a": 1, "b": map[string]any{"p": "$q", "r": []any{1, 2}}, "c": "xy$$"}
	for _, path := range []string{"/main.yaml", "/moved"} {
		tree, err := Load(Options{Sources: []string{s.URL + path, s.URL + path}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, tree.Root().Raw()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if n := fetched.Load(); n != 2 {
		t.Errorf("%d requests, want one for each load", n)
	}
	for path, want := range map[string]string{
		"/missing": "/missing: load the URL: HTTP status 404 Not Found",
		"/wrong":   "/wrong:2:1: YAML syntax",
		"/large":   "larger than 4 MiB",
	} {
		_, err := Load(Options{Sources: []string{s.URL + path}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	s.Close()
	for _, source := range []string{"http://ann:s3cret@" + s.Listener.Addr().String() + "/x?key=s3cret", "yaml:a: ${http://ann:s3cret@" + s.Listener.Addr().String() + "/x?key=s3cret}"} {
		if _, err := Load(Options{Sources: []string{source}}); err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("a server that is down: %v", err)
		}
	}
}

// A redirect from https to http is not followed, and a cycle of redirects ends.
func TestHTTPRedirects(t *testing.T) {
	t.Parallel()
	request := func(url string) *http.Request { return httptest.NewRequest(http.MethodGet, url, nil) }
	if err := checkRedirect(request("http://h/"), []*http.Request{request("https://h/")}); err == nil {
		t.Error("a redirect from https to http is followed")
	}
	if err := checkRedirect(request("https://h/"), []*http.Request{request("http://h/")}); err != nil {
		t.Error(err)
	}
	s := httptest.NewServer(http.RedirectHandler("/", http.StatusFound))
	t.Cleanup(s.Close)
	if _, err := fetch(s.URL); err == nil || !strings.Contains(err.Error(), "more than 10 redirects") {
		t.Errorf("a cycle: %v", err)
	}
}
