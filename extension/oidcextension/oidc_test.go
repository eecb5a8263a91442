package oidcextension

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// isLater reports whether an error is retryable.
func isLater(err error) bool {
	var pe *pipeline.Error
	return errors.As(err, &pe) && pe.Kind == pipeline.Retryable && pe.RetryAfter > 0
}

// none returns a token with the algorithm "none".
func none(t *testing.T, c claims) string {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + enc.EncodeToString(text) + "."
}

func TestTokens(t *testing.T) {
	t.Parallel()
	rs, ec, unknown := rsaKey(t, "rs"), ecKey(t, "ec"), rsaKey(t, "rs")
	is := newIssuer(t, rs, ec)
	r := start(t, is.provider())
	public := x509.MarshalPKCS1PublicKey(&rs.Key.(*rsa.PrivateKey).PublicKey)
	good := sign(t, rs, is.claims())
	parts := strings.Split(good, ".")
	for _, c := range []struct{ name, token, want string }{
		{"RS256", good, ""},
		{"ES256", sign(t, ec, is.claims()), ""},
		{"without a kid", signAs(t, jose.RS256, rs.Key, "", is.claims()), ""},
		{"of several audiences", sign(t, rs, is.claims().with("aud", []string{"x", "penstock"})), ""},
		{"not yet valid, within the leeway", sign(t, rs, is.claims().with("nbf", time.Now().Add(time.Minute).Unix())), ""},
		{"expired", sign(t, rs, is.claims().with("exp", time.Now().Add(-time.Second).Unix())), "token is expired"},
		{"without expiry", sign(t, rs, is.claims().with("exp", nil)), "token is expired"},
		{"not yet valid", sign(t, rs, is.claims().with("nbf", time.Now().Add(time.Hour).Unix())), "before the nbf"},
		{"another audience", sign(t, rs, is.claims().with("aud", "x")), `expected audience "penstock" got ["x"]`},
		{"no audience", sign(t, rs, is.claims().with("aud", nil)), `expected audience "penstock"`},
		{"another issuer", sign(t, rs, is.claims().with("iss", "https://evil.example")), "issued by a different provider"},
		{"no issuer", sign(t, rs, is.claims().with("iss", nil)), "issued by a different provider"},
		{"another key with a known kid", sign(t, unknown, is.claims()), "the signature is wrong"},
		{"the other key's kid", signAs(t, jose.RS256, rs.Key, "ec", is.claims()), "the signature is wrong"},
		{"another algorithm with the right key", signAs(t, jose.RS512, rs.Key, "rs", is.claims()), "unexpected signature algorithm"},
		{"none", none(t, is.claims()), "malformed jwt"},
		{"HS256 with the public key", signAs(t, jose.HS256, public, "rs", is.claims()), "unexpected signature algorithm"},
		{"HS256 with the public key, no kid", signAs(t, jose.HS256, public, "", is.claims()), "unexpected signature algorithm"},
		{"signature missing", parts[0] + "." + parts[1] + ".", "the signature is wrong"},
		{"two parts", parts[0] + "." + parts[1], "malformed jwt"},
		{"four parts", good + ".x", "malformed jwt"},
		{"another payload", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"root"}`)) + "." + parts[2], "the signature is wrong"},
		{"no base64", "!.!.!", "malformed jwt"},
		{"no JSON", "e30.e3.e30", "malformed jwt"},
		{"no token", "x", "malformed jwt"},
		{"deep JSON", base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("[", 9000))) + ".e30.x", "malformed jwt"},
	} {
		id, err := r.ask("Bearer " + c.token)
		switch {
		case isLater(err):
			t.Errorf("%s: the refusal is not permanent: %v", c.name, err)
		case c.want == "" && (err != nil || id.Subject != "ann"):
			t.Errorf("%s: %v, %v", c.name, id, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
		if text := clientText(err); strings.Contains(text, "penstock") || strings.Contains(text, "127.0.0.1") || strings.Contains(text, "RS256") {
			t.Errorf("%s: the client reads %s", c.name, text)
		}
	}
	if n := is.fetches.Load(); n != 1 {
		t.Errorf("%d fetches of the keys", n)
	}
}

// clientText is what a receiver sends to the client.
func clientText(err error) string {
	var private interface{ ClientText() string }
	if errors.As(err, &private) {
		return private.ClientText()
	}
	return fmt.Sprint(err)
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	k := ecKey(t, "k")
	is := newIssuer(t, k)
	r := start(t, is.provider())
	good := sign(t, k, is.claims())
	for _, c := range []struct {
		name   string
		values []string
		want   string
	}{
		{"none", nil, "authentication didn't succeed"},
		{"empty", []string{""}, "authentication didn't succeed"},
		{"lower case", []string{"bearer " + good}, ""},
		{"upper case", []string{"BEARER " + good}, ""},
		{"trailing space", []string{"Bearer " + good + " "}, ""},
		{"no scheme", []string{good}, "invalid authorization header format"},
		{"another scheme", []string{"Basic " + good}, "invalid authorization header format"},
		{"scheme alone", []string{"Bearer"}, "invalid authorization header format"},
		{"two words", []string{"Bearer " + good + " x"}, "invalid authorization header format"},
		{"the same twice", []string{"Bearer " + good, "Bearer " + good}, "invalid authorization header format: the header authorization: it occurs more than once"},
		{"two different", []string{"Bearer " + good, "Bearer x"}, "it occurs more than once"},
		{"very long", []string{"Bearer " + strings.Repeat(good, 100)}, "longer than 16384 bytes"},
	} {
		_, err := r.ask(c.values...)
		if c.want == "" && err != nil || c.want != "" && !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	k := ecKey(t, "k")
	is := newIssuer(t, k)
	p := is.provider()
	p.UsernameClaim, p.GroupsClaim = "email", "groups"
	r := start(t, p)
	c := func() claims { return is.claims().with("email", "ann@example.com").with("groups", []any{"a", "b"}) }
	id, err := r.ask("Bearer " + sign(t, k, c().with("tenant", "x").with("level", 7).with("admin", true).with("nested", claims{"a": 1})))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"subject": "ann@example.com", "issuer": is.URL, "membership": "a,b", "claims.tenant": "x", "claims.level": "7",
		"claims.admin": "true", "claims.sub": "ann", "claims.nested": "", "raw": "",
	} {
		if got := id.Attributes[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if id.Subject != "ann@example.com" {
		t.Errorf("subject %q", id.Subject)
	}
	if id, err := r.ask("Bearer " + sign(t, k, c().with("groups", "one"))); err != nil || id.Attributes["membership"] != "one" {
		t.Errorf("one group: %v, %v", id, err)
	}
	for want, c := range map[error]claims{
		errClaim: is.claims().with("groups", "x"), errClaimKind: c().with("email", 1), errGroups: is.claims().with("email", "x"),
	} {
		if _, err := r.ask("Bearer " + sign(t, k, c)); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	many := c()
	for i := range 200 {
		many[fmt.Sprint("claim", i)] = strings.Repeat("é", 10)
	}
	many["email"] = strings.Repeat("é", 2000)
	id, err = r.ask("Bearer " + sign(t, k, many))
	if err != nil || len(id.Attributes) > maxAttributes || len(id.Subject) > maxAttributeBytes {
		t.Errorf("%d attributes, a subject of %d bytes, %v", len(id.Attributes), len(id.Subject), err)
	}
}

func TestSeveralIssuers(t *testing.T) {
	t.Parallel()
	k1, k2 := ecKey(t, "k"), ecKey(t, "k") // with the same key id
	one, two := newIssuer(t, k1), newIssuer(t, k2)
	r := start(t, one.provider(), two.provider())
	for token, want := range map[string]string{
		sign(t, k1, one.claims()):                                     "",
		sign(t, k2, two.claims()):                                     "",
		sign(t, k1, two.claims()):                                     "the signature is wrong", // the key of one, the issuer of two
		sign(t, k1, one.claims().with("iss", "https://evil.example")): `no OIDC provider configured`,
	} {
		_, err := r.ask("Bearer " + token)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestIgnoredIssuerAndAudience(t *testing.T) {
	t.Parallel()
	k := ecKey(t, "k")
	is := newIssuer(t, k)
	p := is.provider()
	p.Audience, p.IgnoreAudience, p.IgnoreIssuer = "", true, true
	r := start(t, p)
	if _, err := r.ask("Bearer " + sign(t, k, is.claims().with("iss", "x").with("aud", "y"))); err != nil {
		t.Error(err)
	}
	if _, err := r.ask("Bearer " + sign(t, ecKey(t, "k"), is.claims())); err == nil {
		t.Error("another key was accepted")
	}
}

// The first token with a new key causes the keys to be fetched.
func TestRotation(t *testing.T) {
	t.Parallel()
	first, second := ecKey(t, "1"), rsaKey(t, "2")
	is := newIssuer(t, first)
	r := start(t, is.provider())
	r.ready()
	is.rotate(second)
	if _, err := r.ask("Bearer " + sign(t, second, is.claims())); !isLater(err) {
		t.Errorf("immediately after the last fetch: %v", err)
	}
	r.allowRefresh()
	if _, err := r.ask("Bearer " + sign(t, second, is.claims())); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	if _, err := r.ask("Bearer " + sign(t, first, is.claims())); err == nil {
		t.Error("the withdrawn key is still accepted")
	}
}

// Issuers with one key need no key id.
func TestRotationWithoutKeyIDs(t *testing.T) {
	t.Parallel()
	first, second := ecKey(t, ""), ecKey(t, "")
	is := newIssuer(t, first)
	r := start(t, is.provider())
	r.ready()
	is.rotate(second)
	token := "Bearer " + sign(t, second, is.claims())
	if _, err := r.ask(token); err == nil || isLater(err) {
		t.Errorf("immediately after the last fetch: %v", err)
	}
	r.allowRefresh()
	if _, err := r.ask(token); err != nil {
		t.Error(err)
	}
}

// Tokens with unknown keys do not cause more requests to the issuer.
func TestUnknownKeysDoNotFloodTheIssuer(t *testing.T) {
	t.Parallel()
	k := ecKey(t, "k")
	is := newIssuer(t, k)
	r := start(t, is.provider())
	r.ready()
	r.allowRefresh()
	made := ecKey(t, "made up")
	if _, err := r.ask("Bearer " + sign(t, made, is.claims())); !errors.Is(err, errUnknownKey) {
		t.Fatalf("the first: %v", err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				token := "Bearer " + sign(t, jose.JSONWebKey{Key: made.Key, KeyID: fmt.Sprint(i, "-", j), Algorithm: "ES256"}, is.claims())
				if _, err := r.ask(token); !isLater(err) {
					t.Errorf("another: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := r.ask("Bearer " + sign(t, made, is.claims())); !errors.Is(err, errUnknownKey) {
		t.Errorf("a key that the issuer did not have: %v", err)
	}
	if n := is.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want the first and one more", n)
	}
	if _, err := r.ask("Bearer " + sign(t, k, is.claims())); err != nil {
		t.Errorf("a valid token during the flood: %v", err)
	}
}

// An issuer that is down at the start only delays tokens.
func TestIssuerIsDown(t *testing.T) {
	t.Parallel()
	k := ecKey(t, "k")
	is := newIssuer(t, k)
	is.down.Store(true)
	r := start(t, is.provider())
	token := "Bearer " + sign(t, k, is.claims())
	if _, err := r.ask(token); !isLater(err) {
		t.Errorf("while it is down: %v", err)
	}
	if _, err := r.ask(token); !isLater(err) {
		t.Errorf("again: %v", err)
	}
	is.down.Store(false)
	r.ready() // the refresher retries
	if _, err := r.ask(token); err != nil {
		t.Errorf("after it is up: %v", err)
	}
	if log := r.log.String(); !strings.Contains(log, "fetching the issuer's keys failed") || strings.Count(log, "out of order") > 40 {
		t.Errorf("the log:\n%s", log)
	}
	is.down.Store(true) // known keys stay in use
	is.rotate()
	r.allowRefresh()
	if _, err := r.ask("Bearer " + sign(t, ecKey(t, "other"), is.claims())); !isLater(err) {
		t.Errorf("an unknown key while it is down: %v", err)
	}
	if _, err := r.ask(token); err != nil {
		t.Errorf("a known key while it is down: %v", err)
	}
}

func TestIssuersThatMisbehave(t *testing.T) {
	t.Parallel()
	k := ecKey(t, "k")
	for name, fault := range map[string]func(*issuer, *Provider){
		"keys without end":       func(is *issuer, _ *Provider) { is.huge.Store(true) },
		"no keys":                func(is *issuer, _ *Provider) { is.keys = nil },
		"another name":           func(is *issuer, _ *Provider) { is.name = "https://evil.example" },
		"an unknown certificate": func(_ *issuer, p *Provider) { p.IssuerCAPath = "" },
		"server closed":          func(is *issuer, _ *Provider) { is.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is := newIssuer(t, k)
			p := is.provider()
			fault(is, &p)
			r := start(t, p)
			if _, err := r.ask("Bearer " + sign(t, k, is.claims())); !isLater(err) {
				t.Errorf("got %v", err)
			}
			if r.providers[0].trust.Load() != nil {
				t.Error("keys were accepted")
			}
		})
	}
}

// Algorithms of the issuer that are not asymmetric are ignored.
func TestIssuerWithSymmetricAlgorithms(t *testing.T) {
	t.Parallel()
	k := rsaKey(t, "k")
	is := newIssuer(t, k)
	is.algorithms = []string{"HS256", "none"}
	r := start(t, is.provider())
	if _, err := r.ask("Bearer " + sign(t, k, is.claims())); err != nil {
		t.Errorf("RS256, which every issuer supports: %v", err)
	}
	public := x509.MarshalPKCS1PublicKey(&k.Key.(*rsa.PrivateKey).PublicKey)
	if _, err := r.ask("Bearer " + signAs(t, jose.HS256, public, "k", is.claims())); err == nil {
		t.Error("HS256 was accepted")
	}
}

func TestPublicKeysFile(t *testing.T) {
	t.Parallel()
	k, next := ecKey(t, "k"), rsaKey(t, "next")
	path := filepath.Join(t.TempDir(), "jwks.json")
	write := func(keys ...jose.JSONWebKey) {
		t.Helper()
		set := jose.JSONWebKeySet{}
		for _, k := range keys {
			set.Keys = append(set.Keys, k.Public())
		}
		text, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(k)
	r := start(t, Provider{IssuerURL: "https://issuer.invalid", Audience: "penstock", PublicKeysFile: path})
	c := claims{"iss": "https://issuer.invalid", "aud": "penstock", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}
	if _, err := r.ask("Bearer " + sign(t, k, c)); err != nil {
		t.Error(err)
	}
	if _, err := r.ask("Bearer " + sign(t, next, c)); !errors.Is(err, errUnknownKey) {
		t.Errorf("an unknown key: %v", err)
	}
	write(next)
	if err := r.providers[0].file.Load(); err != nil { // like a call a second later
		t.Fatal(err)
	}
	if _, err := r.ask("Bearer " + sign(t, next, c)); err != nil {
		t.Errorf("after the change: %v", err)
	}
	if _, err := r.ask("Bearer " + sign(t, k, c)); !errors.Is(err, errUnknownKey) {
		t.Errorf("the old key: %v", err)
	}
}

func TestKeySets(t *testing.T) {
	t.Parallel()
	ec, err := ecKey(t, "ec").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text string
		keys       int // -1: refused
	}{
		{"a private key becomes its public key", `{"keys":[` + string(ec) + `]}`, 1},
		{"unknown keys are ignored", `{"keys":[{"kty":"OKP","crv":"X448","x":"AA"},{"kty":"x"},{"kty":"EC","crv":"secp256k1"},` + string(ec) + `]}`, 1},
		{"for encryption", `{"keys":[` + strings.Replace(string(ec), `"sig"`, `"enc"`, 1) + `]}`, -1},
		{"a shared secret", `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, -1},
		{"none", `{"keys":[]}`, -1},
		{"no JSON", `-----BEGIN`, -1},
		{"too many", `{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`, -1},
	} {
		set, err := parseKeys([]byte(c.text))
		if err != nil && c.keys >= 0 || err == nil && len(set) != c.keys {
			t.Errorf("%s: %d keys, %v", c.name, len(set), err)
		}
		for _, k := range set {
			if !k.IsPublic() {
				t.Errorf("%s: a private key is kept", c.name)
			}
		}
	}
}

func TestFilesAreNeededAtStart(t *testing.T) {
	t.Parallel()
	empty := tlstest.File(t, "empty", nil)
	for want, p := range map[string]Provider{
		"issuer_ca_path: open":                             {IssuerCAPath: "nothing"},
		"issuer_ca_path: no certificate in PEM form":       {IssuerCAPath: empty},
		"public_keys_file: open":                           {PublicKeysFile: "nothing"},
		"public_keys_file: read " + empty + ": expected a": {PublicKeysFile: empty},
	} {
		p.IssuerURL, p.Audience = "https://localhost:1", "x"
		cfg := DefaultConfig()
		cfg.One = p
		e, err := New(cfg, component.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := e.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestNotStarted(t *testing.T) {
	t.Parallel()
	is := newIssuer(t, ecKey(t, "k"))
	cfg := DefaultConfig()
	cfg.One = is.provider()
	e, err := New(cfg, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Authenticate(t.Context(), func(string) []string { return []string{"Bearer e30.e30.e30"} })
	if !isLater(err) {
		t.Errorf("before Start: %v", err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := e.Start(t.Context()); err == nil {
		t.Error("Start after Shutdown succeeded")
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"{}":                                   "no provider: expected issuer_url and audience, or providers",
		"{providers: []}":                      "no provider",
		"{audience: x}":                        "no IssuerURL provided for the OIDC configuration",
		"{issuer_url: 'https://x'}":            "no Audience provided for the OIDC configuration",
		"{issuer_url: x, audience: x}":         `issuer_url: expected an http or https URL, found "x"`,
		"{issuer_url: 'ftp://x', audience: x}": "expected an http or https URL",
		"{attribute: 'a b', issuer_url: 'https://x', audience: x}":                                                         "attribute: expected the name of a header",
		"{providers: [{issuer_url: 'https://x', audience: a}, {issuer_url: 'https://x', audience: b}]}":                    "providers: [1]: duplicate issuer URL found: https://x",
		"{issuer_url: 'https://x', audience: a, providers: [{issuer_url: 'https://x', audience: b}]}":                      "providers: [0]: duplicate issuer URL",
		"{issuer_url: 'https://x', audience: a, ignore_issuer: true, providers: [{issuer_url: 'https://y', audience: b}]}": "ignore_issuer cannot be true when multiple providers are configured",
		"{providers: [{issuer_url: 'https://x', audienc: a}]}":                                                             `did you mean "audience"`,
		"{issuer_url: 'https://x', ignore_audience: true, attribute: X-Token}":                                             "<nil>",
	} {
		if _, err := decode(t, yaml); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", yaml, err, want)
		}
	}
	cfg, err := decode(t, "{issuer_url: 'http://x', audience: a, providers: [{issuer_url: 'https://y', audience: b}]}")
	if err != nil || len(cfg.Warnings()) != 1 || !strings.Contains(cfg.Warnings()[0], "plain HTTP") {
		t.Errorf("%v, %q", err, cfg.Warnings())
	}
}
