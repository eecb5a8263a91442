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
	running bool            // an attempt is under way
	attempt time.Time       // when the last one began, or ended
	next    *outcome        // of the attempt under way, or of the next
	absent  map[string]bool // keys that tokens named and the last good attempt did not bring
}

// An outcome is what becomes of one attempt; err is read after done is closed.
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

// open reads files. It connects to nothing.
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
	p.running, p.attempt = true, time.Now()
	select {
	case <-p.asked: // this attempt is the answer
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

// keysFor returns what to check a token with that names the key kid.
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
	if err := p.fresh(ctx); err != nil {
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
		return nil, later(errNoKeys, time.Second)
	case !set.has(kid):
		return nil, errUnknownKey
	}
	return &trust{keys: *set, algorithms: algorithms()}, nil
}

// fresh waits for an attempt that succeeds, if one may be made now. Its error
// says when to come back.
func (p *provider) fresh(ctx context.Context) error {
	o, wait := p.ask()
	if wait > 0 {
		return later(errNoKeys, wait)
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > maxWaiting {
		return later(errNoKeys, time.Second)
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-o.done:
		if o.err == nil {
			return nil
		}
	case <-timeout.C:
	case <-ctx.Done():
	}
	return later(errNoKeys, time.Second)
}

// ask wants an attempt. If the last one is too young, it says how long to wait.
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

// isAbsent says whether the issuer was asked for a key a moment ago and did not
// have it.
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
