package oidcextension

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/extension/internal/watched"
)

// The bounds on talking to an issuer.
const (
	fetchTimeout     = 5 * time.Second
	maxResponseBytes = 1 << 20
	// refreshAfter is how long an issuer is left alone after an attempt, whatever
	// tokens come.
	refreshAfter = 10 * time.Second
	// refreshEvery makes keys go that the issuer has withdrawn.
	refreshEvery = time.Hour
	// firstRetry doubles up to refreshAfter while the issuer has never answered.
	firstRetry = time.Second
	// patience is how long a request waits for keys.
	patience   = 2 * time.Second
	maxWaiting = 256
	// maxAbsent bounds the names of keys that the issuer did not have.
	maxAbsent = 64
)

// provider knows one issuer.
type provider struct {
	cfg    Provider
	log    *slog.Logger
	client *http.Client
	file   *watched.File[keySet] // instead of client
	trust  atomic.Pointer[trust] // nil until the issuer has answered

	asked   chan struct{} // wakes the refresher; holds one
	waiting atomic.Int32

	mu      sync.Mutex
	attempt time.Time       // the beginning of the last one
	under   chan struct{}   // closed when the attempt under way, or the next, ends
	absent  map[string]bool // kids that the last successful attempt did not bring
}

func newProvider(cfg Provider, log *slog.Logger) *provider {
	p := &provider{cfg: cfg, log: log.With(slog.String("issuer", cfg.IssuerURL)), asked: make(chan struct{}, 1), under: make(chan struct{})}
	if cfg.PublicKeysFile != "" {
		p.file = watched.New(cfg.PublicKeysFile, p.log, parseKeys)
	}
	return p
}

// open reads files. It talks to nobody.
func (p *provider) open() error {
	if p.file != nil {
		if err := p.file.Load(); err != nil {
			return fmt.Errorf("public_keys_file: %w", err)
		}
		return nil
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.cfg.IssuerCAPath != "" {
		pem, err := os.ReadFile(p.cfg.IssuerCAPath)
		if err != nil {
			return fmt.Errorf("issuer_ca_path: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("issuer_ca_path: no certificate in PEM form in %s", p.cfg.IssuerCAPath)
		}
	}
	p.client = &http.Client{Timeout: fetchTimeout, Transport: bounded{&http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure, ForceAttemptHTTP2: true,
		DialContext:         (&net.Dialer{Timeout: fetchTimeout}).DialContext,
		TLSHandshakeTimeout: fetchTimeout, ResponseHeaderTimeout: fetchTimeout,
		MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true, // it is asked once an hour
	}, maxResponseBytes}}
	return nil
}

// run is the refresher: it ends with ctx.
func (p *provider) run(ctx context.Context) {
	wait := firstRetry
	for ctx.Err() == nil {
		err := p.refresh(ctx)
		next := refreshEvery
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.log.Warn("cannot get the issuer's keys; trying again", slog.Any("error", err), slog.Bool("have_older_keys", p.trust.Load() != nil))
			next, wait = wait, min(2*wait, refreshAfter)
		default:
			wait = firstRetry
		}
		select {
		case <-ctx.Done():
		case <-p.asked:
		case <-time.After(next):
		}
	}
}

// refresh makes one attempt. It alone fetches anything.
func (p *provider) refresh(ctx context.Context) error {
	p.mu.Lock()
	p.attempt = time.Now()
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*fetchTimeout)
	defer cancel()
	t, err := discover(ctx, p.client, p.cfg.IssuerURL)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.trust.Store(t)
		p.absent = map[string]bool{}
	}
	p.attempt = time.Now()
	close(p.under)
	p.under = make(chan struct{})
	return err
}

var (
	errNoKeys     = errors.New("the issuer's keys are not known yet; try again")
	errUnknownKey = errors.New("the token is signed with a key that the issuer does not have")
)

// keysFor returns what to check a token with that names the key kid. Its error is
// errUnknownKey, or says to try again after a time.
func (p *provider) keysFor(ctx context.Context, kid string) (*trust, error) {
	if p.file != nil {
		return p.fromFile(kid)
	}
	if t := p.trust.Load(); t != nil && t.keys.has(kid) {
		return t, nil
	}
	ended, wait, err := p.ask(kid)
	if err != nil {
		return nil, err
	}
	if wait > 0 || p.waiting.Add(1) > maxWaiting {
		if wait <= 0 {
			p.waiting.Add(-1)
		}
		return nil, again{errNoKeys, max(wait, time.Second)}
	}
	defer p.waiting.Add(-1)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-ended:
	case <-timeout.C:
	case <-ctx.Done():
	}
	t := p.trust.Load()
	if t != nil && t.keys.has(kid) {
		return t, nil
	}
	if p.isAbsent(kid, ended) {
		return nil, errUnknownKey
	}
	return nil, again{errNoKeys, time.Second}
}
