package oidcextension

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// An issuer is an OpenID Connect server over TLS, whose keys can be changed.
type issuer struct {
	*httptest.Server
	caFile string

	mu         sync.Mutex
	keys       []jose.JSONWebKey
	algorithms []string
	name       string // instead of URL

	down    atomic.Bool
	huge    atomic.Bool
	fetches atomic.Int32 // of the key set
}

func newIssuer(t *testing.T, keys ...jose.JSONWebKey) *issuer {
	t.Helper()
	is := &issuer{keys: keys, algorithms: []string{"RS256", "ES256", "HS256", "none"}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", is.discovery)
	mux.HandleFunc("/keys", is.jwks)
	is.Server = httptest.NewUnstartedServer(mux)
	is.Config.ErrorLog = log.New(io.Discard, "", 0)
	is.StartTLS()
	t.Cleanup(is.Close)
	is.caFile = tlstest.File(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: is.Certificate().Raw}))
	return is
}

func (is *issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	is.mu.Lock()
	defer is.mu.Unlock()
	if is.down.Load() {
		http.Error(w, strings.Repeat("out of order ", 1000), http.StatusServiceUnavailable)
		return
	}
	name := is.name
	if name == "" {
		name = is.URL
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"issuer": name, "jwks_uri": is.URL + "/keys", "id_token_signing_alg_values_supported": is.algorithms,
	})
}

func (is *issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	is.fetches.Add(1)
	if is.huge.Load() {
		for range 4 {
			_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20))
		}
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	set := jose.JSONWebKeySet{}
	for _, k := range is.keys {
		set.Keys = append(set.Keys, k.Public())
	}
	_ = json.NewEncoder(w).Encode(set)
}

func (is *issuer) rotate(keys ...jose.JSONWebKey) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys = keys
}

// rsaKey and ecKey return new private keys.
func rsaKey(t *testing.T, kid string) jose.JSONWebKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: k, KeyID: kid, Algorithm: "RS256", Use: "sig"}
}

func ecKey(t *testing.T, kid string) jose.JSONWebKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: k, KeyID: kid, Algorithm: "ES256", Use: "sig"}
}

type claims map[string]any

// claims returns the claims of a valid token.
func (is *issuer) claims() claims {
	return claims{"iss": is.URL, "aud": "penstock", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
}

// with sets a claim, or removes it.
func (c claims) with(name string, value any) claims {
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

// sign returns a signed token.
func sign(t *testing.T, k jose.JSONWebKey, c claims) string {
	t.Helper()
	return signAs(t, jose.SignatureAlgorithm(k.Algorithm), k.Key, k.KeyID, c)
}

func signAs(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, c claims) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		opts = opts.WithHeader("kid", kid)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(map[string]any(c)).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// rig is an extension that uses an issuer.
type rig struct {
	*Extension
	t   *testing.T
	log *testkit.Log
}

func decode(t *testing.T, yaml string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, yaml, &cfg)
	return cfg, err
}

func (is *issuer) provider() Provider {
	return Provider{IssuerURL: is.URL, IssuerCAPath: is.caFile, Audience: "penstock"}
}

func start(t *testing.T, providers ...Provider) *rig {
	t.Helper()
	r := &rig{t: t, log: &testkit.Log{}}
	cfg := DefaultConfig()
	cfg.Providers = providers
	e, err := New(cfg, component.Settings{ID: "oidc", Logger: r.log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	r.Extension = e
	for range 2 {
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for range 2 {
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	return r
}

// ask authenticates a request with header values.
func (r *rig) ask(values ...string) (*pipeline.Identity, error) {
	r.t.Helper()
	id, err := r.Authenticate(r.t.Context(), func(name string) []string {
		if name == "authorization" {
			return values
		}
		return nil
	})
	for _, v := range values {
		token := v[strings.LastIndex(v, " ")+1:]
		if err != nil && len(token) > 10 && strings.Contains(err.Error(), token) {
			r.t.Errorf("the token is in the error %q", err)
		}
		if len(token) > 10 && strings.Contains(r.log.String(), token) {
			r.t.Errorf("the token is in the log")
		}
	}
	return id, err
}

// allowRefresh moves the last attempt of the only provider into the past, so
// that another is allowed.
func (r *rig) allowRefresh() {
	p := r.providers[0]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempt = p.attempt.Add(-refreshAfter)
}

// ready waits until the only provider has its keys.
func (r *rig) ready() {
	r.t.Helper()
	p := r.providers[0]
	for deadline := time.Now().Add(10 * time.Second); p.trust.Load() == nil; {
		if time.Now().After(deadline) {
			r.t.Fatalf("no keys:\n%s", r.log.String())
		}
		time.Sleep(time.Millisecond)
	}
	for { // until the attempt is over
		p.mu.Lock()
		running := p.running
		p.mu.Unlock()
		if !running {
			return
		}
	}
}
