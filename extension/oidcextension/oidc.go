package oidcextension

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/extension/internal/credential"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// These bound what a token's claims become.
const (
	maxAttributes     = 64
	maxAttributeBytes = 1024
)

// What clients are told; most are the Collector's words.
var (
	errMissing    = errors.New("authentication didn't succeed")
	errFormat     = errors.New("invalid authorization header format")
	errMalformed  = errors.New("failed to parse the token: malformed jwt")
	errClaim      = errors.New("username claim from the OIDC configuration not found on the token returned by the OIDC provider")
	errClaimKind  = errors.New("the username returned by the OIDC provider isn't a regular string")
	errGroups     = errors.New("groups claim from the OIDC configuration not found on the token returned by the OIDC provider")
	errNotStarted = errors.New("the authenticator is not running; try again")
)

// Extension is a pipeline.Authenticator.
type Extension struct {
	attribute string // in lower case
	providers []*provider

	life    lifecycle.Cycle
	cancel  context.CancelFunc // of the refreshers; of Start and Shutdown
	running sync.WaitGroup
}

// New makes an authenticator. It reads no file and asks no issuer.
func New(cfg Config, set component.Settings) (*Extension, error) {
	set = set.OrDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("extension %q: %w", set.ID, err)
	}
	e := &Extension{attribute: strings.ToLower(cfg.Attribute)}
	all, _ := cfg.providers()
	for _, p := range all {
		e.providers = append(e.providers, newProvider(p, set.Logger))
	}
	return e, nil
}

// Start reads files and begins to ask the issuers; it does not wait for them. A
// second call returns what the first did.
func (e *Extension) Start(ctx context.Context) error {
	return e.life.Start(func(*lifecycle.Undo) error {
		for _, p := range e.providers {
			if err := p.open(); err != nil {
				return fmt.Errorf("%s: %w", p.cfg.IssuerURL, err)
			}
		}
		ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
		for _, p := range e.providers {
			if p.file == nil {
				e.running.Go(func() { p.run(ctx) })
			}
		}
		return nil
	})
}

// Shutdown ends the conversations with the issuers.
func (e *Extension) Shutdown(context.Context) error {
	return e.life.Shutdown(func() error {
		e.cancel()
		e.running.Wait()
		return nil
	})
}

// Authenticate implements pipeline.Authenticator.
func (e *Extension) Authenticate(ctx context.Context, header func(string) []string) (*pipeline.Identity, error) {
	value, err := credential.Value(header, e.attribute)
	switch {
	case errors.Is(err, credential.ErrMissing):
		return nil, errMissing
	case err != nil:
		return nil, fmt.Errorf("%w: the header %s: %w", errFormat, e.attribute, err)
	}
	raw, ok := credential.Split(value, "Bearer")
	if !ok || strings.ContainsAny(raw, " \t") {
		return nil, errFormat
	}
	h, issuer, err := peek(raw)
	if err != nil {
		return nil, err
	}
	p := e.providerOf(issuer)
	if p == nil {
		return nil, fmt.Errorf("failed to resolve OIDC provider for the issuer %s: no OIDC provider configured for it", quoted(issuer))
	}
	token, err := p.verify(ctx, raw, h)
	if err != nil {
		return nil, err
	}
	return p.identity(token)
}

// A header is the part of a token that says how it is signed (RFC 7515, section 4).
type header struct {
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg"`
}

// peek reads what is needed to choose keys. Nothing of it is believed.
func peek(raw string) (h header, issuer string, err error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return h, "", errMalformed
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if decodePart(parts[0], &h) != nil || decodePart(parts[1], &claims) != nil {
		return h, "", errMalformed
	}
	return h, claims.Issuer, nil
}

func decodePart(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// providerOf returns the provider whose tokens these claim to be. With a single
// provider it is that one: it will look at the issuer itself.
func (e *Extension) providerOf(issuer string) *provider {
	if len(e.providers) == 1 {
		return e.providers[0]
	}
	for _, p := range e.providers {
		if p.cfg.IssuerURL == issuer {
			return p
		}
	}
	return nil
}

// verify checks a token whole.
func (p *provider) verify(ctx context.Context, raw string, h header) (*oidc.IDToken, error) {
	if p.client == nil && p.file == nil {
		return nil, later(errNotStarted, time.Second)
	}
	t, err := p.keysFor(ctx, h.KeyID)
	if err != nil {
		return nil, err
	}
	token, badSignature, err := p.verifyWith(ctx, t, raw, h)
	if badSignature && h.KeyID == "" && p.file == nil {
		// A token that names no key may be of one that is new. If none can be
		// asked for now, it is refused: anybody can make such a token.
		if p.fresh(ctx) == nil {
			token, _, err = p.verifyWith(ctx, p.trust.Load(), raw, h)
		}
	}
	return token, err
}

func (p *provider) verifyWith(ctx context.Context, t *trust, raw string, h header) (token *oidc.IDToken, badSignature bool, err error) {
	keys := &checker{keys: t.keys, of: h}
	token, err = oidc.NewVerifier(p.cfg.IssuerURL, keys, &oidc.Config{
		ClientID: p.cfg.Audience, SkipClientIDCheck: p.cfg.IgnoreAudience, SkipIssuerCheck: p.cfg.IgnoreIssuer,
		SupportedSigningAlgs: t.algorithms,
	}).Verify(ctx, raw)
	if err != nil {
		err = fmt.Errorf("failed to verify token: %w", shortened(err))
	}
	return token, keys.failed, err
}

// identity reads a token that was verified.
func (p *provider) identity(token *oidc.IDToken) (*pipeline.Identity, error) {
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return nil, errMalformed
	}
	id := &pipeline.Identity{Subject: token.Subject, Attributes: map[string]string{}}
	if name := p.cfg.UsernameClaim; name != "" {
		claim, ok := claims[name]
		if !ok {
			return nil, errClaim
		}
		if id.Subject, ok = claim.(string); !ok {
			return nil, errClaimKind
		}
	}
	id.Subject = bound(id.Subject)
	if name := p.cfg.GroupsClaim; name != "" {
		groups, ok := claims[name]
		if !ok {
			return nil, errGroups
		}
		id.Attributes["membership"] = bound(strings.Join(texts(groups), ","))
	}
	id.Attributes["issuer"], id.Attributes["subject"] = bound(token.Issuer), id.Subject
	for name, claim := range claims {
		if text, ok := scalar(claim); ok && len(id.Attributes) < maxAttributes && len(name) <= maxAttributeBytes {
			id.Attributes["claims."+name] = bound(text)
		}
	}
	return id, nil
}

// texts reads a claim that is one text or several.
func texts(claim any) []string {
	list, ok := claim.([]any)
	if !ok {
		list = []any{claim}
	}
	var all []string
	for _, item := range list {
		if text, ok := scalar(item); ok {
			all = append(all, text)
		}
	}
	return all
}

func scalar(claim any) (string, bool) {
	switch c := claim.(type) {
	case string:
		return c, true
	case float64:
		return strconv.FormatFloat(c, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(c), true
	}
	return "", false
}

func bound(text string) string {
	if len(text) > maxAttributeBytes {
		text = text[:maxAttributeBytes]
	}
	return strings.ToValidUTF8(text, "")
}

// quoted is a client's text as it may stand in an error.
func quoted(text string) string {
	const most = 100
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.Quote(text)
}

// later tells that nothing is known about the client, and when it may be.
func later(err error, after time.Duration) error {
	return &pipeline.Error{Kind: pipeline.Retryable, RetryAfter: after, Err: err}
}
