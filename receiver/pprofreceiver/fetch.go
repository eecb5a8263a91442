package pprofreceiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/config"
)

const (
	userAgent      = "penstock"
	maxRedirects   = 3
	maxHeaderBytes = 64 << 10
	// stalledAfter is how long a body that has begun may take for each paceBytes,
	// beyond the seconds that are measured: it holds one of the engine's places.
	stalledAfter = 10 * time.Second
	paceBytes    = 32 << 10
	// maxComplaint is how much is read of an error response.
	maxComplaint = 512
)

// newClient makes the client that all targets with the same settings share.
func newClient(cfg config.HTTPClient) (*http.Client, error) {
	t, err := cfg.Transport()
	if err != nil {
		return nil, err
	}
	t.MaxResponseHeaderBytes = maxHeaderBytes
	return &http.Client{Transport: t, CheckRedirect: sameHost}, nil
}

// sameHost follows a target to another path, not to another host or port, which may
// be another server: the headers may hold secrets. It follows to https at the usual
// port, without them.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	upgraded := first.Scheme == "http" && portOf(first) == "80" && req.URL.Scheme == "https" && portOf(req.URL) == "443"
	switch {
	case req.URL.Hostname() != first.Hostname():
		return &failure{causeRedirect, fmt.Errorf("redirected to another host, %s", req.URL.Hostname())}
	case first.Scheme == "https" && req.URL.Scheme != "https":
		return &failure{causeRedirect, errors.New("redirected from https to http")}
	case portOf(req.URL) != portOf(first) && !upgraded:
		return &failure{causeRedirect, fmt.Errorf("redirected to another port, %s", req.URL.Host)}
	case len(via) > maxRedirects:
		return &failure{causeRedirect, fmt.Errorf("redirected more than %d times", maxRedirects)}
	case req.URL.Scheme != first.Scheme:
		req.Header = http.Header{"User-Agent": {userAgent}}
		req.URL.User = nil
	}
	return nil
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// fetch asks for a profile and calls use with the body, as it came. Waiting for
// the answer, and for the first byte of its body, which a server or a proxy may send
// long after the head, costs nothing; to have its bytes in memory takes one of places,
// and a part of the memory budget.
func (t *target) fetch(ctx context.Context, e *Engine, j *job, use func(body []byte, r *room) (counts, error)) (counts, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout(j))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url.String(), nil)
	if err != nil {
		return counts{}, asFailure(causeTransport, err)
	}
	if err := t.setHeaders(ctx, req); err != nil {
		return counts{}, err
	}
	resp, err := t.http.Do(req)
	if err != nil {
		return counts{}, transportFailure(ctx, withoutURL(err))
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return counts{}, refusal(resp)
	}
	whole := awaitFirst(resp.Body)
	r, err := e.newRoom(ctx, t.name)
	if err != nil {
		_ = resp.Body.Close()
		return counts{}, err
	}
	defer r.close()
	pace := &paced{ReadCloser: whole, within: j.wait + stalledAfter, late: cancel}
	body, release, err := readAnswer(ctx, pace, e.places, e.cfg.MaxProfileBytes, r)
	if err != nil {
		return counts{}, err
	}
	defer release()
	return use(body, r)
}

// awaitFirst waits for the first byte of a body, and returns the body with it.
func awaitFirst(body io.ReadCloser) io.ReadCloser {
	first := make([]byte, 1)
	n, err := body.Read(first)
	var rest io.Reader = body
	if err != nil {
		rest = failing{err}
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(first[:n]), rest), body}
}

// failing is a body that had an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// paced is a body that must bring paceBytes within a time, again and again.
type paced struct {
	io.ReadCloser
	within time.Duration
	late   func() // ends the fetch
	timer  *time.Timer
	n      int // bytes since the timer was set
}

// begin starts the time.
func (p *paced) begin() { p.timer = time.AfterFunc(p.within, p.late) }

// end returns why the body was cut off, or err.
func (p *paced) end(err error) error {
	if inTime := p.timer.Stop(); err == nil || inTime {
		return err
	}
	// The timer has run: the error is its doing.
	return &failure{causeTimeout, fmt.Errorf("the body brought less than %d bytes in %s", paceBytes, p.within)}
}

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	if p.n += n; p.n >= paceBytes && p.timer.Stop() {
		p.n = 0
		p.timer.Reset(p.within)
	}
	return n, err
}

// readAnswer reads body, which belongs to it. It takes one of places, which release
// gives back when the bytes are no longer in use, after it has closed the body: an
// answer counts until nothing of it is left.
func readAnswer(ctx context.Context, body *paced, places chan struct{}, maxBytes int, r *room) (data []byte, release func(), err error) {
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		_ = body.Close()
		return nil, nil, transportFailure(ctx, fmt.Errorf("wait for others to be read: %w", ctx.Err()))
	}
	release = func() {
		_ = body.Close() // what matters was read
		<-places
	}
	body.begin()
	data, err = readAll(body, maxBytes, r)
	if err = body.end(err); err == nil {
		return data, release, nil
	}
	release()
	return nil, nil, transportFailure(ctx, fmt.Errorf("read the profile: %w", err))
}

// withoutURL is what happened, without where: the message has the target's name,
// and the URL may hold a password.
func withoutURL(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// refusal says what an answer without a profile means.
func refusal(resp *http.Response) error {
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxComplaint))
	text := fmt.Sprintf("the answer is %q", resp.Status)
	if line, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n"); line != "" {
		text += fmt.Sprintf(": %q", line)
	}
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound:
		return &failure{causeNotFound, errors.New(text + ": is net/http/pprof imported there?")}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return &failure{causeDenied, errors.New(text + ": are the right credentials among the headers?")}
	case strings.Contains(string(said), "already in use"):
		return &failure{causeBusy, errors.New("another CPU profile of this process is being taken, and it can have only one at a time: trying again in the next round")}
	}
	return &failure{causeStatus, errors.New(text)}
}
