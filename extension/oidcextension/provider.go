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

// Limits on requests to an issuer.
const (
	fetchTimeout     = 5 * time.Second
	maxResponseBytes = 1 << 20
	// refreshAfter is the minimum time between two attempts, whatever tokens
	// arrive.
	refreshAfter = 10 * time.Second
	// refreshEvery is the interval after which keys that the issuer has
	// withdrawn are removed.
	refreshEvery = time.Hour
	// firstRetry is the first delay after a failed attempt; it doubles up to
	// refreshAfter.
	firstRetry = time.Second
	// maxKeyWait is how long a request waits for keys.
	maxKeyWait = 2 * time.Second
	maxWaiting = 256
	// maxAbsent is the maximum number of cached key ids that the issuer does
	// not have.
	maxAbsent = 64
)

// provider fetches and holds the keys of one issuer.
type provider struct {
	cfg    Provider
	log    *slog.Logger
	client *http.Client
	file   *watched.File[keySet] // instead of client, or nil
	trust  atomic.Pointer[trust] // nil until the first successful attempt

	asked   chan struct{} // wakes the refresher; its capacity is 1
	waiting atomic.Int32

	mu      sync.Mutex
	running bool            // an attempt is in progress
	attempt time.Time       // begin or end of the last attempt
	next    *outcome        // of the attempt in progress, or of the next
	absent  map[string]bool // key ids of tokens that were missing in the last successful attempt
}

// An outcome is the result of one attempt; err may be read after done is
// closed.
type outcome struct {
	done chan struct{}
	err  error
}

func newOutcome() *outcome { return &outcome{done: make(chan struct{})} }

func newProvider(cfg Provider, log *slog.Logger) *provider {
	p := &provider{cfg: cfg, log: log.With(slog.String("issuer", cfg.IssuerURL)), asked: make(chan struct{}, 1), next: newOutcome()}
	if cfg.PublicKeysFile != "" {
		p.file = watched.New(cfg.PublicKeysFile, p.log, parseKeys)
	}
	return p
}

// open reads files and creates the client. It sends no requests.
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
		MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true, // one request an hour
	}, maxResponseBytes}}
	return nil
}

// run is the refresher. It returns when ctx ends.
func (p *provider) run(ctx context.Context) {
	wait := firstRetry
	for ctx.Err() == nil {
		err := p.refresh(ctx)
		next := refreshEvery
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.log.Warn("fetching the issuer's keys failed; retrying", slog.Any("error", err), slog.Bool("have_older_keys", p.trust.Load() != nil))
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

// refresh makes one attempt. Only refresh sends requests.
func (p *provider) refresh(ctx context.Context) error {
	p.mu.Lock()
	p.running, p.attempt = true, time.Now()
	select {
	case <-p.asked: // this attempt is the one asked for
	default:
	}
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
	p.running, p.attempt = false, time.Now()
	p.next.err = err
	close(p.next.done)
	p.next = newOutcome()
	return err
}

var (
	errNoKeys     = errors.New("the issuer's keys are not known yet; try again")
	errUnknownKey = errors.New("the token is signed with a key that the issuer does not have")
)

// keysFor returns the keys and algorithms for a token with the key id kid.
func (p *provider) keysFor(ctx context.Context, kid string) (*trust, error) {
	if p.file != nil {
		return p.fromFile(kid)
	}
	t := p.trust.Load()
	switch {
	case t != nil && t.keys.has(kid):
		return t, nil
	case t != nil && p.isAbsent(kid):
		return nil, errUnknownKey
	}
	if err := p.awaitRefresh(ctx); err != nil {
		return nil, err
	}
	if t = p.trust.Load(); t.keys.has(kid) {
		return t, nil
	}
	p.setAbsent(kid)
	return nil, errUnknownKey
}

func (p *provider) fromFile(kid string) (*trust, error) {
	set := p.file.Get()
	switch {
	case set == nil:
		return nil, retryable(errNoKeys, time.Second)
	case !set.has(kid):
		return nil, errUnknownKey
	}
	return &trust{keys: *set, algorithms: algorithms()}, nil
}

// awaitRefresh waits for the next attempt and returns nil if it succeeds. Its
// error has the delay for the client's next attempt.
func (p *provider) awaitRefresh(ctx context.Context) error {
	o, wait := p.ask()
	if wait > 0 {
		return retryable(errNoKeys, wait)
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > maxWaiting {
		return retryable(errNoKeys, time.Second)
	}
	timeout := time.NewTimer(maxKeyWait)
	defer timeout.Stop()
	select {
	case <-o.done:
		if o.err == nil {
			return nil
		}
	case <-timeout.C:
	case <-ctx.Done():
	}
	return retryable(errNoKeys, time.Second)
}

// ask requests an attempt. If the last one was too recent, it returns the time
// to wait.
func (p *provider) ask() (*outcome, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running && !p.attempt.IsZero() {
		if age := time.Since(p.attempt); age < refreshAfter {
			return nil, refreshAfter - age
		}
		select {
		case p.asked <- struct{}{}:
		default:
		}
	}
	return p.next, 0
}

// isAbsent reports whether the issuer did not have a key in a recent attempt.
func (p *provider) isAbsent(kid string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.absent[kid] && time.Since(p.attempt) < refreshAfter
}

func (p *provider) setAbsent(kid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.absent) < maxAbsent {
		p.absent[kid] = true
	}
}
