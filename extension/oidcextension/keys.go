package oidcextension

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// maxKeys bounds a key set: a token without a key's name is tried with all.
const maxKeys = 100

// algorithms are those that go-oidc takes; all have a private and a public key.
func algorithms() []string {
	return []string{
		oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512,
		oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
	}
}

// A keySet is what signatures of one issuer are checked with. It does not change.
type keySet []jose.JSONWebKey

// parseKeys reads a JWK set (RFC 7517). Keys that are not for signatures, or of
// a kind that is not known, are left out, as section 5 there says.
func parseKeys(text []byte) (keySet, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("expected a JWK set: %w", err)
	}
	if len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("expected at most %d keys, found %d", maxKeys, len(doc.Keys))
	}
	var set keySet
	for _, raw := range doc.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(raw, &k) != nil || !k.Valid() || k.Use != "" && k.Use != "sig" {
			continue
		}
		if k.Algorithm != "" && !slices.Contains(algorithms(), k.Algorithm) {
			continue
		}
		if public := k.Public(); public.Valid() { // a shared secret has no public half
			set = append(set, public)
		}
	}
	if len(set) == 0 {
		return nil, errors.New("no supported keys in the JWK set (RSA, ECDSA and Ed25519 keys for signatures are)")
	}
	return set, nil
}

// has says whether there is a key that a token names. A token that names none
// may be of any.
func (s keySet) has(kid string) bool {
	return kid == "" || slices.ContainsFunc(s, func(k jose.JSONWebKey) bool { return k.KeyID == kid })
}

// checker checks one token's signature. It implements oidc.KeySet.
type checker struct {
	keys   keySet
	of     header
	failed bool // go-oidc's error does not say
}

var errSignature = errors.New("the signature is wrong")

// VerifySignature implements oidc.KeySet.
func (c *checker) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	for _, k := range c.keys {
		if c.of.KeyID != "" && k.KeyID != c.of.KeyID || k.Algorithm != "" && k.Algorithm != c.of.Algorithm {
			continue
		}
		static := oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{k.Key}}
		if payload, err := static.VerifySignature(ctx, token); err == nil {
			return payload, nil
		}
	}
	c.failed = true
	return nil, errSignature
}

// A trust is what is known of an issuer: its keys, and with which algorithms it
// signs.
type trust struct {
	keys       keySet
	algorithms []string
}

// discover asks the issuer for both.
func discover(ctx context.Context, client *http.Client, issuer string) (*trust, error) {
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", shortened(err))
	}
	var doc struct {
		JWKS       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := p.Claims(&doc); err != nil {
		return nil, fmt.Errorf("discovery: %w", shortened(err))
	}
	t := &trust{}
	for _, a := range doc.Algorithms {
		if slices.Contains(algorithms(), a) {
			t.algorithms = append(t.algorithms, a)
		}
	}
	if len(t.algorithms) == 0 {
		t.algorithms = []string{oidc.RS256} // OpenID Connect Discovery, section 3: it must be supported
	}
	text, err := fetch(ctx, client, doc.JWKS)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", shortened(err))
	}
	if t.keys, err = parseKeys(text); err != nil {
		return nil, fmt.Errorf("keys: %s: %w", doc.JWKS, shortened(err))
	}
	return t, nil
}

func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: expected 200 OK, found %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body) // bounded by the client's transport
}

// bounded is a transport whose responses end at a limit.
type bounded struct {
	http.RoundTripper
	maxBytes int64
}

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, b.maxBytes)
	}
	return resp, err
}

// maxErrorBytes keeps what an issuer answers out of the log but for its start.
const maxErrorBytes = 256

func shortened(err error) error {
	text := err.Error()
	if len(text) <= maxErrorBytes {
		return err
	}
	return errors.New(strings.ToValidUTF8(text[:maxErrorBytes], "") + "…")
}
