package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/extension/filestorageextension"
	"github.com/penstock-telemetry/penstock/pipeline"
)

const withExtensions = `
receivers: {in: {auth: auth/b}}
exporters: {out: }
extensions: {ext/a: {auth: auth/b}, auth/b: }
service:
  extensions: [auth/b, ext/a]
  pipelines:
    traces: {receivers: [in], exporters: [out]}
`

// Extensions start first, in the order of their list, and stop last. Components
// that start later can look them up.
func TestExtensionsStartFirstAndStopLast(t *testing.T) {
	t.Parallel()
	f := newFakes()
	s := f.service(t, withExtensions)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	const started = "start auth/b; start ext/a; ext/a finds auth/b: true; start out; start in; in finds auth/b: true"
	if diff := cmp.Diff(started, f.take()); diff != "" {
		t.Errorf("start (-want +got):\n%s", diff)
	}
	if _, ok := f.made["in"][0].extension("auth/none"); ok {
		t.Error("found an extension that does not exist")
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	const stopped = "stop in; in finds auth/b: true; stop out; stop ext/a; ext/a finds auth/b: true; stop auth/b"
	if diff := cmp.Diff(stopped, f.take()); diff != "" {
		t.Errorf("stop (-want +got):\n%s", diff)
	}
	if _, ok := f.made["in"][0].extension("auth/b"); ok {
		t.Error("found an extension that has been shut down")
	}
}

func TestExtensionFailsToStart(t *testing.T) {
	t.Parallel()
	f := newFakes()
	s := f.service(t, strings.Replace(withExtensions, "ext/a: {", "ext/a: {fail_start: boom, ", 1))
	if err := s.Start(t.Context()); err == nil || err.Error() != `start extension "ext/a": boom` {
		t.Errorf("got %v", err)
	}
	if got := f.take(); got != "start auth/b; stop auth/b" {
		t.Errorf("got %s", got)
	}
	_, err := New(f.config(t, strings.Replace(withExtensions, "ext/a: {", "ext/a: {fail_new: boom, ", 1)), f.options())
	if err == nil || !strings.HasSuffix(err.Error(), "4:14: extensions.ext/a: boom") {
		t.Errorf("got %v", err)
	}
}

// A reference to an authenticator that does not exist, is not enabled or is of
// another type is an error of Load, with its position.
func TestInvalidAuthenticators(t *testing.T) {
	t.Parallel()
	const yaml = `
receivers: {in: {auth: %s}}
exporters: {out: }
extensions: {ext: , auth/ok: }
service:
  extensions: [%s]
  pipelines:
    traces: {receivers: [in], exporters: [out]}
`
	for _, c := range []struct{ name, enabled, want string }{
		{"auth/ok", "ext, auth/ok", "<nil>"},
		{"auth/none", "ext, auth/ok", `2:24: receivers.in.auth: failed to resolve authenticator "auth/none": authenticator not found (known: auth/ok)`},
		{"auth/okk", "ext, auth/ok", `2:24: receivers.in.auth: failed to resolve authenticator "auth/okk": authenticator not found, did you mean "auth/ok"? (known: auth/ok)`},
		{"auth/ok", "ext", `2:24: receivers.in.auth: failed to resolve authenticator "auth/ok": authenticator not found: it is defined at yaml:…:4:21, but not listed in service.extensions`},
		{"ext", "ext, auth/ok", `2:24: receivers.in.auth: requested authenticator is not a server authenticator: "ext" is of type ext`},
		{"auth/ok", "ext, [auth/ok]", `service.extensions[1]: expected a string, found a list`},
	} {
		_, err := Load(newFakes().options(), "yaml:"+fmt.Sprintf(yaml, c.name, c.enabled))
		got := fmt.Sprint(err)
		want := strings.ReplaceAll(c.want, "yaml:…", "")
		if i := strings.Index(got, ":4:21"); i > 0 { // the position of the other one contains the whole text
			got = got[:strings.LastIndex(got[:i], "at ")+3] + got[i:]
		}
		if !strings.HasSuffix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s of [%s]:\ngot  %s\nwant %s", c.name, c.enabled, got, want)
		}
	}
}

// The same for a storage, of which an exporter has the directory after Start.
func TestStorage(t *testing.T) {
	t.Parallel()
	opts := newFakes().options()
	opts.Components = append(opts.Components, filestorageextension.Component())
	const yaml = `yaml:
receivers: {in: }
exporters: {out: {storage: %s}}
extensions: {file_storage/q: {directory: %q, max_size: 5}, auth/ok: }
service:
  extensions: [%s]
  pipelines:
    traces: {receivers: [in], exporters: [out]}
`
	dir := filepath.Join(t.TempDir(), "q")
	for _, c := range []struct{ id, enabled, want string }{
		{"auth/ok", "auth/ok, file_storage/q", `3:28: exporters.out.storage: requested extension is not a storage extension: "auth/ok" is of type auth`},
		{"file_storage", "file_storage/q", `failed to resolve storage "file_storage": storage not found, did you mean "file_storage/q"? (known: file_storage/q)`},
		{"file_storage/q", "auth/ok", `but not listed in service.extensions`},
	} {
		if _, err := Load(opts, fmt.Sprintf(yaml, c.id, dir, c.enabled)); err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.id, err, c.want)
		}
	}
	cfg, err := Load(opts, fmt.Sprintf(yaml, "file_storage/q", dir, "file_storage/q"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, _ := s.graph().Extension("file_storage/q")
	storage, ok := found.(component.Storage)
	if !ok || storage.Directory() != dir || storage.MaxBytes() != 5 {
		t.Errorf("found %T", found)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		t.Errorf("the directory: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// allExtensions is a typical configuration for the Collector.
const allExtensions = `
extensions:
  health_check:
    endpoint: localhost:0
    path: /health/status
    check_collector_pipeline: {enabled: false, interval: 5m, exporter_failure_threshold: 5}
  pprof:
    endpoint: localhost:0
    block_profile_fraction: 0
    mutex_profile_fraction: 0
  zpages:
    endpoint: localhost:0
    expvar: {enabled: false}
  basicauth/server:
    htpasswd:
      file: HTPASSWD
      inline: |
        bob:s3cret-canary
  bearertokenauth:
    scheme: Bearer
    tokens: [s3cret-canary]
  bearertokenauth/file:
    filename: TOKENS
  oidc:
    issuer_url: https://localhost:1/auth/realms/opentelemetry
    audience: account
    username_claim: email
receivers:
  otlp:
    protocols:
      http: {endpoint: "localhost:0"}
exporters:
  file: {path: OUT}
service:
  extensions: [health_check, pprof, zpages, basicauth/server, bearertokenauth, bearertokenauth/file, oidc]
  telemetry: {metrics: {address: "localhost:0"}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
    logs: {receivers: [otlp], exporters: [file]}
`

func allExtensionsYAML(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"htpasswd", "tokens"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("ann:s3cret-canary"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return strings.NewReplacer("HTPASSWD", filepath.Join(dir, "htpasswd"), "TOKENS", filepath.Join(dir, "tokens"), "OUT", filepath.Join(dir, "out")).Replace(allExtensions)
}

func TestAllExtensionsRun(t *testing.T) {
	t.Parallel()
	r := start(t, allExtensionsYAML(t))
	health, zpages := r.extensionURL(t, "health_check"), r.extensionURL(t, "zpages")
	if code, body := fetch(t, health+"/health/status"); code != 200 || !strings.Contains(body, `"Server available"`) {
		t.Errorf("health: %d %s", code, body)
	}
	if code, _ := fetch(t, r.extensionURL(t, "pprof")+"/debug/pprof/heap"); code != 200 {
		t.Errorf("pprof: %d", code)
	}
	for _, id := range []string{"basicauth/server", "bearertokenauth", "bearertokenauth/file", "oidc"} {
		if e, _ := r.find(id); e == nil {
			t.Errorf("%s is not found", id)
		} else if _, ok := e.(pipeline.Authenticator); !ok {
			t.Errorf("%s is a %T", id, e)
		}
	}
	// Seven empty spans.
	request := append([]byte{0x0a, 16, 0x12, 14}, bytes.Repeat([]byte{0x12, 0}, 7)...)
	resp, err := http.Post(r.http+"/v1/traces", "application/x-protobuf", bytes.NewReader(request))
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("send: %v, %v", resp, err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	for page, want := range map[string][]string{
		"/debug/statusz":    {"<td>otlp<td>http<td>traces<td class=\"n\">7<", "<td>file<td>traces<td class=\"n\">7<", " of "},
		"/debug/servicez":   {"endpoint: localhost:0", "[REDACTED]"},
		"/debug/pipelinez":  {"<tr><td>traces<td>traces<td>otlp<td><td>file<td>false</tr>"},
		"/debug/extensionz": {"<tr><td>basicauth/server<td>basicauth</tr>"},
		"/debug/featurez":   {"service.profilesSupport"},
		"/debug/tracez":     {"not recorded"},
	} {
		code, body := fetch(t, zpages+page)
		if code != 200 || strings.Contains(body, "s3cret-canary") {
			t.Errorf("%s: %d\n%s", page, code, body)
		}
		for _, text := range want {
			if !strings.Contains(body, text) {
				t.Errorf("%s: %q is missing in\n%s", page, text, body)
			}
		}
	}
}

// A receiver accepts only requests that its authenticator accepts.
func TestAuthenticatorsGuardReceivers(t *testing.T) {
	t.Parallel()
	r := start(t, `
extensions:
  basicauth: {htpasswd: {inline: "ann:secret"}}
  bearertokenauth: {token: secret}
receivers:
  otlp: {protocols: {http: {endpoint: "localhost:0", auth: {authenticator: basicauth}}}}
  otlp/2: {protocols: {http: {endpoint: "localhost:0", auth: {authenticator: bearertokenauth}}}}
exporters: {nop: }
service:
  extensions: [basicauth, bearertokenauth]
  pipelines: {traces: {receivers: [otlp, otlp/2], exporters: [nop]}}
`)
	urls := map[string]string{}
	for _, a := range r.Addresses() {
		urls[a.ID] = a.Address
	}
	for _, c := range []struct {
		receiver, authorization string
		want                    int
	}{
		{"otlp", "", 401},
		{"otlp", "Basic YW5uOnNlY3JldA==", 200}, // ann:secret
		{"otlp", "Basic YW5uOndyb25n", 401},
		{"otlp", "Bearer secret", 401},
		{"otlp/2", "", 401},
		{"otlp/2", "Bearer secret", 200},
		{"otlp/2", "Basic YW5uOnNlY3JldA==", 401},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, urls[c.receiver]+"/v1/traces", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		req.Header.Set("Content-Type", "application/json")
		if c.authorization != "" {
			req.Header.Set("Authorization", c.authorization)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s with %q: %d, want %d", c.receiver, c.authorization, resp.StatusCode, c.want)
		}
	}
}

// The pages work without metrics.
func TestPagesWithoutMetrics(t *testing.T) {
	t.Parallel()
	r := start(t, `
extensions: {zpages: {endpoint: "localhost:0"}}
receivers: {otlp: {protocols: {http: {endpoint: "localhost:0"}}}}
exporters: {nop: }
service:
  extensions: [zpages]
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [nop]}}
`)
	if code, body := fetch(t, r.extensionURL(t, "zpages")+"/debug/statusz"); code != 200 || !strings.Contains(body, "No counts") {
		t.Errorf("%d\n%s", code, body)
	}
}

func TestSecretsOfExtensionsAreNotPrinted(t *testing.T) {
	t.Parallel()
	cfg, err := loadAll("yaml:" + allExtensionsYAML(t))
	if err != nil {
		t.Fatal(err)
	}
	text, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "s3cret-canary") || strings.Count(string(text), "[REDACTED]") != 2 {
		t.Errorf("printed as\n%s", text)
	}
	if warnings := strings.Join(cfg.Warnings(), "\n"); !strings.Contains(warnings, "plain text") || strings.Contains(warnings, "s3cret-canary") {
		t.Errorf("warnings:\n%s", warnings)
	}
}

// localhost is both loopback addresses.
func TestLocalhostClashes(t *testing.T) {
	t.Parallel()
	for other, clash := range map[string]bool{
		"127.0.0.1:1777": true, "[::1]:1777": true, "[0:0:0:0:0:0:0:1]:1777": true, "LOCALHOST:1777": true, "0.0.0.0:1777": true,
		"127.0.0.2:1777": false, "[::1]:1778": false, "example.com:1777": false,
	} {
		_, err := loadAll(`yaml:{extensions: {pprof: , zpages: {endpoint: "` + other + `"}}, receivers: {otlp: {protocols: {grpc: }}}, exporters: {nop: }, ` +
			`service: {extensions: [pprof, zpages], pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}}`)
		if got := fmt.Sprint(err); strings.Contains(got, "is already used by") != clash || (err != nil) != clash {
			t.Errorf("%s: %s", other, got)
		}
	}
}

// Load reports an address that two extensions want.
func TestExtensionsWithSameAddress(t *testing.T) {
	t.Parallel()
	_, err := loadAll(`yaml:{extensions: {pprof: , zpages: {endpoint: "localhost:1777"}}, receivers: {otlp: {protocols: {grpc: }}}, exporters: {nop: }, ` +
		`service: {extensions: [pprof, zpages], pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}}`)
	if got := fmt.Sprint(err); !strings.HasSuffix(got, "extensions.zpages.endpoint: localhost:1777 is already used by extensions.pprof.endpoint (localhost:1777)") {
		t.Errorf("got %s", got)
	}
}

// unhealthy is a receiver whose listener has failed.
type unhealthy struct {
	*fake
	err error
}

func (s *unhealthy) Healthy() error { return s.err }

func TestReadinessAsksTheReceivers(t *testing.T) {
	t.Parallel()
	f := newFakes()
	s := f.service(t, withExtensions)
	if _, err := s.readiness(); err == nil {
		t.Error("ready before Start")
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	since, err := s.readiness()
	if err != nil || since.IsZero() || !s.isReady() {
		t.Errorf("since %v, %v", since, err)
	}
	receiver := &unhealthy{fake: f.made["in"][0]}
	s.graph().Receivers[0].Instance = receiver
	if _, err := s.readiness(); err != nil {
		t.Errorf("a healthy receiver: %v", err)
	}
	receiver.err = errors.New("no longer listening")
	if _, err := s.readiness(); err == nil || err.Error() != `receiver "in": no longer listening` || s.isReady() {
		t.Errorf("an unhealthy receiver: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.readiness(); err == nil {
		t.Error("ready after Shutdown")
	}
}

// find looks up an extension as components do.
func (r *rig) find(id string) (any, bool) { return r.graph().Extension(id) }

func (r *rig) extensionURL(t *testing.T, id string) string {
	t.Helper()
	e, _ := r.find(id)
	a, ok := e.(component.Server)
	if !ok {
		t.Fatalf("the extension %s is a %T", id, e)
	}
	return "http://" + a.Endpoints()[0].Addr.String()
}

func fetch(t *testing.T, url string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
