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

// Limits on the attributes from claims.
const (
	maxAttributes     = 64
	maxAttributeBytes = 1024
)

// The errors that clients get. Most have the Collector's texts.
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
	cancel  context.CancelFunc // stops the refreshers; used by Start and Shutdown only
	running sync.WaitGroup
}

// New creates an authenticator. It reads no files and sends no requests.
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

// Start reads files and starts fetching keys from the issuers, without waiting
// for them. A second call returns the same result.
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

// Shutdown stops fetching keys from the issuers.
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

// A header is the part of a token with key id and algorithm (RFC 7515, section
// 4).
type header struct {
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg"`
}

// peek parses the parts of a token that are needed to choose keys, without
// verifying them.
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

// providerOf returns the provider for an issuer. If there is only one provider,
// it returns that one, which checks the issuer itself.
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

// verify checks a token completely.
func (p *provider) verify(ctx context.Context, raw string, h header) (*oidc.IDToken, error) {
	if p.client == nil && p.file == nil {
		return nil, retryable(errNotStarted, time.Second)
	}
	t, err := p.keysFor(ctx, h.KeyID)
	if err != nil {
		return nil, err
	}
	token, badSignature, err := p.verifyWith(ctx, t, raw, h)
	if badSignature && h.KeyID == "" && p.file == nil {
		// A token without a key id may be signed with a new key. If the keys
		// cannot be fetched now, it is refused, since anybody can create such a
		// token.
		if p.awaitRefresh(ctx) == nil {
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
		err = &unverified{shortened(err), keys.failed}
	}
	return token, keys.failed, err
}

// unverified is the error about a token. Its text has the issuer, the audience and
// the algorithms that are expected, which clients do not need to know.
type unverified struct {
	err          error
	badSignature bool
}

func (e *unverified) Error() string { return "failed to verify token: " + e.err.Error() }

// Unwrap returns the cause.
func (e *unverified) Unwrap() error { return e.err }

// ClientText is what a client gets to read, see pipeline.Authenticator.
func (e *unverified) ClientText() string {
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(e.err, &expired):
		return "failed to verify token: it has expired"
	case e.badSignature:
		return "failed to verify token: " + errSignature.Error()
	}
	return "failed to verify token: its issuer, audience, algorithm or times are not those that are expected"
}

// identity returns the identity from the claims of a verified token.
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

// texts returns the texts of a claim that is one value or a list.
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

// quoted returns a client's text quoted and truncated, for errors.
func quoted(text string) string {
	const most = 100
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.Quote(text)
}

// retryable wraps an error for a client that has been neither accepted nor
// refused, with the delay for its next attempt.
func retryable(err error, after time.Duration) error {
	return &pipeline.Error{Kind: pipeline.Retryable, RetryAfter: after, Err: err}
}
