package basicauthextension

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/extension/internal/credential"
	"github.com/penstock-telemetry/penstock/extension/internal/watched"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Limits on hashing.
const (
	// maxPasswordBytes is far above the length of real passwords. The cost of
	// some older hashes is quadratic in the length.
	maxPasswordBytes = 256
	// At most maxWaiting requests wait for a slot, each at most maxWait.
	maxWaiting = 256
	maxWait    = 2 * time.Second
)

// The errors that clients get. The first four have the Collector's texts.
var (
	errNoAuth       = errors.New("no basic auth provided")
	errScheme       = errors.New("invalid authorization scheme prefix")
	errFormat       = errors.New("invalid authorization format")
	errInvalid      = errors.New("invalid credentials")
	errTooMany      = errors.New("too many passwords are being checked; try again")
	errNotRead      = errors.New("the htpasswd file has not been read yet; try again")
	errNoUsers      = errors.New("the extension has no users: it is for outgoing requests")
	errInterruption = errors.New("the request ended before its password was checked")
)

// Extension is a pipeline.Authenticator, or with client_auth a
// pipeline.ClientAuthenticator.
type Extension struct {
	cfg    Config
	client *client // nil without client_auth
	life   lifecycle.Cycle
	file   *watched.File[*table] // nil without a file
	only   *table                // without a file
	key    [sha256.Size]byte     // random, from New: digests are not valid in another process

	slots   chan struct{} // one element for each password being hashed
	waiting atomic.Int32
}

// New creates an authenticator. It reads no file.
func New(cfg Config, set component.Settings) (*Extension, error) {
	set = set.OrDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("extension %q: %w", set.ID, err)
	}
	if cfg.ClientAuth != nil {
		return &Extension{cfg: cfg, client: newClient(*cfg.ClientAuth, set.Logger)}, nil
	}
	// Compute two hashes at a time if that leaves processors for other work.
	e := &Extension{cfg: cfg, slots: make(chan struct{}, min(2, max(1, runtime.GOMAXPROCS(0)/2)))}
	if _, err := rand.Read(e.key[:]); err != nil {
		return nil, fmt.Errorf("extension %q: create a key: %w", set.ID, err)
	}
	h := cfg.Htpasswd
	var err error
	if h.File == "" {
		e.only, err = parse(nil, []byte(h.Inline))
		return e, err
	}
	e.file = watched.New(h.File, set.Logger, func(content []byte) (*table, error) {
		return parse(content, []byte(h.Inline))
	})
	return e, nil
}

// Warnings returns the settings that are valid but suspicious.
func (c *Config) Warnings() []string {
	h := c.Htpasswd
	if h == nil {
		return nil
	}
	if t, err := parse(nil, []byte(h.Inline)); err == nil && t.plain > 0 {
		return []string{fmt.Sprintf("htpasswd.inline: %d of %d passwords are in plain text; create hashes with htpasswd -nB", t.plain, len(t.users))}
	}
	return nil
}

// Start reads the file. A second call returns the same result.
func (e *Extension) Start(context.Context) error {
	return e.life.Start(func(*lifecycle.Undo) error {
		if e.client != nil {
			return e.client.load()
		}
		if e.file == nil {
			return nil
		}
		if err := e.file.Load(); err != nil {
			return fmt.Errorf("htpasswd.file: %w", err)
		}
		return nil
	})
}

// Shutdown stops nothing: the extension has no goroutines.
func (e *Extension) Shutdown(context.Context) error {
	return e.life.Shutdown(func() error { return nil })
}

// Authenticate implements pipeline.Authenticator.
func (e *Extension) Authenticate(ctx context.Context, header func(string) []string) (*pipeline.Identity, error) {
	if e.client != nil {
		return nil, errNoUsers
	}
	name, password, err := credentials(header)
	if err != nil {
		return nil, err
	}
	t := e.only
	if e.file != nil {
		read := e.file.Get()
		if read == nil {
			return nil, retryable(errNotRead)
		}
		t = *read
	}
	if err := e.verify(ctx, t, name, password); err != nil {
		return nil, err
	}
	return &pipeline.Identity{Subject: name, Attributes: map[string]string{"username": name}}, nil
}

// credentials parses the header.
func credentials(header func(string) []string) (name, password string, err error) {
	value, err := credential.Value(header, "authorization")
	switch {
	case errors.Is(err, credential.ErrMissing):
		return "", "", errNoAuth
	case err != nil:
		return "", "", fmt.Errorf("%w: the header authorization: %w", errFormat, err)
	}
	encoded, ok := credential.Split(value, "Basic")
	if !ok {
		return "", "", errScheme
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", "", errFormat // the cause would contain the client's text
	}
	// RFC 7617, section 2: neither part contains control characters.
	name, password, ok = strings.Cut(string(decoded), ":")
	if !ok || name == "" || strings.ContainsFunc(string(decoded), unicode.IsControl) {
		return "", "", errFormat
	}
	if len(password) > maxPasswordBytes {
		return "", "", errInvalid
	}
	return name, password, nil
}

// verify returns nil if the password is that of the user.
func (e *Extension) verify(ctx context.Context, t *table, name, password string) error {
	d := e.digest(name, password)
	u, known := t.users[name]
	if !known {
		u = t.dummy
	}
	if u == nil {
		return errInvalid // there are no users
	}
	if answered, err := t.recall(u, known, &d); answered {
		return err
	}
	if err := e.acquire(ctx); err != nil {
		return err
	}
	defer e.release()
	// The request that had the slot before may have had the same password.
	if answered, err := t.recall(u, known, &d); answered {
		return err
	}
	if u.hash.MatchesPassword(password) && known {
		u.verified.Store(&d)
		return nil
	}
	t.refused[d[0]].Store(&d)
	return errInvalid
}

func (e *Extension) digest(name, password string) (d digest) {
	h := hmac.New(sha256.New, e.key[:])
	h.Write([]byte(name))
	h.Write([]byte{0}) // neither contains a zero
	h.Write([]byte(password))
	h.Sum(d[:0])
	return d
}

// acquire waits for a slot.
func (e *Extension) acquire(ctx context.Context) error {
	select {
	case e.slots <- struct{}{}:
		return nil
	default:
	}
	defer e.waiting.Add(-1)
	if e.waiting.Add(1) > maxWaiting {
		return retryable(errTooMany)
	}
	timeout := time.NewTimer(maxWait)
	defer timeout.Stop()
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-timeout.C:
		return retryable(errTooMany)
	case <-ctx.Done():
		return &pipeline.Error{Kind: pipeline.Retryable, Err: errInterruption}
	}
}

func (e *Extension) release() { <-e.slots }

// retryable wraps an error for a client that has been neither accepted nor
// refused.
func retryable(err error) error {
	return &pipeline.Error{Kind: pipeline.Retryable, RetryAfter: time.Second, Err: err}
}
