package service

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

const withClientAuth = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0", include_metadata: true}, http: {endpoint: "localhost:0", include_metadata: true}}}
exporters:
  otlp: {endpoint: "%[1]s", tls: {insecure: true}, headers: {X-Static: s, X-Old: o}, auth: {authenticator: %[3]s}}
  otlphttp: {endpoint: "%[2]s", headers: {X-Static: s, X-Old: o}, auth: {authenticator: %[3]s}}
extensions:
  basicauth: {client_auth: {username: ann, password: s3cret}}
  basicauth/files: {client_auth: {username_file: %[4]s, password_file: %[5]s}}
  basicauth/server: {htpasswd: {inline: "ann:{SHA}t6h1/B6iKLkGEEG3zsS9PFKrPOM="}}
  bearertokenauth: {token: abc}
  bearertokenauth/several: {tokens: [first, second], scheme: "", header: X-API-Key}
  oauth2client: {client_id: me, client_secret: s3cret, token_url: "%[6]s", scopes: [a, b], endpoint_params: {audience: all}}
  headers_setter:
    additional_auth: bearertokenauth
    headers:
      - {key: X-Scope-OrgID, from_context: X-Tenant, default_value: nobody}
      - {key: X-Static, value: set, action: insert}
      - {key: X-Old, action: delete}
      - {key: X-New, value: n, action: update}
  oidc: {issuer_url: "http://localhost:1", audience: a}
service:
  extensions: [headers_setter, basicauth, basicauth/files, basicauth/server, bearertokenauth, bearertokenauth/several, oauth2client]
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp, otlphttp]}
`

// tokenServer answers a request for a token with its parameters.
func tokenServer(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		_ = r.ParseForm()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"%s-%s-%s-%s-%s","token_type":"bearer","expires_in":3600}`,
			user, password, r.Form.Get("grant_type"), strings.ReplaceAll(r.Form.Get("scope"), " ", "+"), r.Form.Get("audience"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// Each authenticator adds its credentials to the requests of both exporters.
func TestExportersSendCredentials(t *testing.T) {
	t.Parallel()
	tokens, dir := tokenServer(t), t.TempDir()
	name, password := filepath.Join(dir, "name"), filepath.Join(dir, "password")
	for path, text := range map[string]string{name: "bob\n", password: "pass word\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]map[string]string{
		"basicauth":               {"authorization": "Basic YW5uOnMzY3JldA==", "x-static": "s", "x-old": "o"},
		"basicauth/files":         {"authorization": "Basic Ym9iOnBhc3Mgd29yZA==", "x-static": "s", "x-old": "o"},
		"bearertokenauth":         {"authorization": "Bearer abc", "x-static": "s", "x-old": "o"},
		"bearertokenauth/several": {"x-api-key": "first", "x-static": "s", "x-old": "o"},
		"oauth2client":            {"authorization": "Bearer me-s3cret-client_credentials-a+b-all", "x-static": "s", "x-old": "o"},
		"headers_setter":          {"authorization": "Bearer abc", "x-scope-orgid": "acme", "x-static": "s"},
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			backend := testkit.NewBackend(t, testkit.BackendConfig{})
			r := start(t, fmt.Sprintf(withClientAuth, backend.GRPCEndpoint(), backend.HTTPEndpoint(), id, name, password, tokens))
			for _, client := range r.clients(t) {
				request := testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Traces, 3)
				if _, err := client.Send(t.Context(), otlpclient.Request{Signal: otlp.Traces, Bytes: request, Headers: map[string]string{"x-tenant": "acme"}}); err != nil {
					t.Fatal(err)
				}
			}
			calls := backend.Calls()
			if len(calls) != 4 {
				t.Fatalf("%d requests arrived, want one of each exporter for each of two", len(calls))
			}
			for _, call := range calls {
				got := map[string]string{}
				for _, h := range []string{"authorization", "x-api-key", "x-scope-orgid", "x-static", "x-old", "x-new"} {
					if v := call.Header[h]; len(v) > 0 {
						got[h] = strings.Join(v, ", ")
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", call.Transport, diff)
				}
			}
		})
	}
}

// Without credentials nothing is sent, and the client retries.
func TestNoCredentialsNoRequest(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "a page with s3cret")
	}))
	t.Cleanup(down.Close)
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	yaml := fmt.Sprintf(withClientAuth, backend.GRPCEndpoint(), backend.HTTPEndpoint(), "oauth2client", "/dev/null", "/dev/null", down.URL)
	log := &testkit.Log{}
	r := startLogging(t, log.Logger(), strings.Replace(yaml, "basicauth/files, ", "", 1),
		"exporters.otlp.retry_on_failure.enabled=false", "exporters.otlphttp.retry_on_failure.enabled=false")
	for transport, client := range r.clients(t) {
		_, err := client.Send(t.Context(), otlpclient.Request{Signal: otlp.Traces, Bytes: testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Traces, 3)})
		e, ok := err.(*otlpclient.Error)
		if !ok || !e.Retryable {
			t.Errorf("%s: got %v", transport, err)
		}
	}
	lines := log.Lines("fetch a token from " + down.URL + ": the server refused with HTTP status 503")
	if len(lines) < 2 || strings.Contains(log.String(), "s3cret") {
		t.Errorf("logged %s", log.String())
	}
	if calls := backend.Calls(); len(calls) > 0 {
		t.Errorf("%d requests arrived without credentials", len(calls))
	}
}

// An authenticator that cannot act as a client, or is not there, is an error of Load.
func TestInvalidClientAuthenticators(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"basicauth/server": `requested authenticator is not a client authenticator: "basicauth/server" is of type basicauth, with settings for incoming requests`,
		"oidc":             `requested authenticator is not a client authenticator: "oidc" is of type oidc`,
		"sigv4auth":        `failed to resolve authenticator "sigv4auth": authenticator not found (known: basicauth, basicauth/files, bearertokenauth, bearertokenauth/several, headers_setter, oauth2client)`,
		"''":               "expected the id of an extension, such as bearertokenauth",
	} {
		_, err := loadAll("yaml:" + fmt.Sprintf(withClientAuth, "localhost:1", "http://localhost:1", id, "a", "b", "http://localhost:1"))
		for _, path := range []string{"exporters.otlp.auth.authenticator: ", "exporters.otlphttp.auth.authenticator: "} {
			if err == nil || !strings.Contains(err.Error(), path+want+"\n") && !strings.HasSuffix(err.Error(), path+want) {
				t.Errorf("%s: got %v, want %s", id, err, path+want)
			}
		}
	}
	// The other way round: an extension for exporters at a receiver.
	_, err := loadAll(`yaml:
receivers: {otlp: {protocols: {grpc: {auth: {authenticator: basicauth}}, http: {auth: {authenticator: headers_setter}}}}}
exporters: {nop: }
extensions: {basicauth: {client_auth: {username: ann}}, headers_setter: {headers: [{key: a, value: b}]}}
service: {extensions: [basicauth, headers_setter], pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}`)
	for _, want := range []string{
		`requested authenticator is not a server authenticator: "basicauth" is of type basicauth, with settings for outgoing requests`,
		`requested authenticator is not a server authenticator: "headers_setter" is of type headers_setter`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Credentials that are sent without TLS are a warning.
func TestCredentialsWithoutTLS(t *testing.T) {
	t.Parallel()
	for endpoint, warned := range map[string]bool{"https://localhost:1": false, "http://localhost:1": true} {
		cfg, err := loadAll(fmt.Sprintf(`yaml:
receivers: {nop: }
exporters: {otlp: {endpoint: %[1]s, auth: {authenticator: bearertokenauth}}, otlphttp: {endpoint: %[1]s, auth: {authenticator: bearertokenauth}}}
extensions: {bearertokenauth: {token: a}}
service: {extensions: [bearertokenauth], pipelines: {traces: {receivers: [nop], exporters: [otlp, otlphttp]}}}`, endpoint))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(strings.Join(cfg.Warnings(), "\n"), "auth: the credentials are sent without TLS"); warned != (got == 2) || !warned && got > 0 {
			t.Errorf("%s: warnings %q", endpoint, cfg.Warnings())
		}
	}
}
