// Package oauth2clientextension is the extension "oauth2client": exporters send the
// access token of an OAuth 2.0 server (RFC 6749, section 4.4: client credentials).
//
//	AddCredentials ─► a token that does not expire soon? ─yes─► authorization: Bearer …
//	                     │no
//	                     ▼ one at a time, the others wait
//	                  POST token_url ─► 200: kept until it expires
//	                     └► failed: retryable, for a second without another try
//
// A token is fetched when a request needs it; there is no goroutine. While the server is
// down, a token is used until it expires.
//
// The one trap: the errors of package oauth2 contain the body of the answer. Only the
// fields that RFC 6749 defines go into an error here.
package oauth2clientextension

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/extension/internal/watched"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/pipeline"
)

const (
	defaultTimeout = 30 * time.Second
	// retryAfter is the time after a failure in which no token is fetched.
	retryAfter = time.Second
	// maxMessageBytes bounds the server's words in an error.
	maxMessageBytes = 200
)

// Extension is a pipeline.ClientAuthenticator.
type Extension struct {
	cfg        Config
	life       lifecycle.Cycle
	id, secret *watched.File[string] // nil without a file
	client     *http.Client          // from Start
	now        func() time.Time

	current atomic.Pointer[token]
	slot    chan struct{} // held while a token is fetched; guards the fields below
	failed  time.Time
	failure error
}

// token is an access token as it is sent.
type token struct {
	header         string
	renew, expires time.Time // zero: never
}

// New creates the extension. It reads no file and fetches no token.
func New(cfg Config, set component.Settings) (*Extension, error) {
	set = set.OrDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("extension %q: %w", set.ID, err)
	}
	e := &Extension{cfg: cfg, now: time.Now, slot: make(chan struct{}, 1)}
	e.id, e.secret = fileOf(cfg.ClientIDFile, set.Logger), fileOf(cfg.ClientSecretFile, set.Logger)
	return e, nil
}

func fileOf(path string, log *slog.Logger) *watched.File[string] {
	if path == "" {
		return nil
	}
	return watched.New(path, log, func(content []byte) (string, error) { return strings.TrimSpace(string(content)), nil })
}

// Start reads the files. A second call returns the same result.
func (e *Extension) Start(context.Context) error {
	return e.life.Start(func(*lifecycle.Undo) error {
		for key, f := range map[string]*watched.File[string]{"client_id_file": e.id, "client_secret_file": e.secret} {
			if f == nil {
				continue
			}
			if err := f.Load(); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
		transport, err := config.HTTPClient{TLS: e.cfg.TLS}.Transport()
		if err != nil {
			return err
		}
		e.client = &http.Client{
			Transport: transport, Timeout: cmp.Or(e.cfg.Timeout, defaultTimeout),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the secret is for this server
		}
		return nil
	})
}

// Shutdown closes the connections to the server.
func (e *Extension) Shutdown(context.Context) error {
	return e.life.Shutdown(func() error {
		if e.client != nil {
			e.client.CloseIdleConnections()
		}
		return nil
	})
}

// AddCredentials implements pipeline.ClientAuthenticator.
func (e *Extension) AddCredentials(ctx context.Context, _ *pipeline.Client, headers map[string]string) error {
	t := e.current.Load()
	if !t.valid(e.now(), false) {
		var err error
		if t, err = e.renewed(ctx); err != nil {
			return &pipeline.Error{Kind: pipeline.Retryable, RetryAfter: retryAfter, Err: err}
		}
	}
	headers["authorization"] = t.header
	return nil
}

// valid reports whether a token can be sent. It is replaced some time before.
func (t *token) valid(now time.Time, untilExpiry bool) bool {
	switch {
	case t == nil:
		return false
	case untilExpiry:
		return t.expires.IsZero() || now.Before(t.expires)
	}
	return t.renew.IsZero() || now.Before(t.renew)
}

// renewed returns a token after replacing the current one, unless another request has
// done that.
func (e *Extension) renewed(ctx context.Context) (*token, error) {
	select {
	case e.slot <- struct{}{}:
		defer func() { <-e.slot }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a token: %w", context.Cause(ctx))
	}
	last := e.current.Load()
	if last.valid(e.now(), false) {
		return last, nil
	}
	if e.failure == nil || e.now().Sub(e.failed) >= retryAfter {
		t, err := e.fetch(ctx)
		if err == nil {
			e.failure = nil
			e.current.Store(t)
			return t, nil
		}
		if ctx.Err() != nil { // the end of the request is not a failure of the server
			return nil, err
		}
		e.failed, e.failure = e.now(), err
	}
	if last.valid(e.now(), true) {
		return last, nil
	}
	return nil, e.failure
}

// fetch gets a new token from the server.
func (e *Extension) fetch(ctx context.Context) (*token, error) {
	source := clientcredentials.Config{
		ClientID: e.cfg.ClientID, ClientSecret: string(e.cfg.ClientSecret),
		TokenURL: e.cfg.TokenURL, Scopes: e.cfg.Scopes, EndpointParams: e.cfg.EndpointParams,
	}
	if e.id != nil {
		source.ClientID = *e.id.Get() // not nil: Start has read it
	}
	if e.secret != nil {
		source.ClientSecret = *e.secret.Get()
	}
	got, err := source.Token(context.WithValue(ctx, oauth2.HTTPClient, e.client))
	if err != nil {
		return nil, fmt.Errorf("fetch a token from %s: %w", config.RedactURLs(e.cfg.TokenURL), cause(err))
	}
	t := &token{header: got.Type() + " " + got.AccessToken, expires: got.Expiry}
	if !t.expires.IsZero() {
		life := t.expires.Sub(e.now())
		t.renew = t.expires.Add(-min(e.cfg.ExpiryBuffer, life/2))
	}
	return t, nil
}

// cause returns an error without the body of the server's answer.
func cause(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return err
	}
	text := "the server refused"
	if refused.Response != nil {
		text += " with HTTP status " + refused.Response.Status
	}
	for _, part := range []string{refused.ErrorCode, refused.ErrorDescription} {
		if part != "" {
			text += ": " + fmt.Sprintf("%q", part[:min(len(part), maxMessageBytes)])
		}
	}
	return errors.New(text)
}
