package bearertokenauthextension

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/extension/internal/credential"
	"github.com/penstock-telemetry/penstock/extension/internal/watched"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// maxTokens is the maximum number of tokens that a request is compared with.
const maxTokens = 10_000

var (
	errWrong   = errors.New("provided authorization does not match expected scheme or token")
	errNoToken = errors.New("the token file has no token")
	errNotRead = errors.New("the token file has not been read yet; try again")
)

// A digest replaces a token: all have the same length, so that the time of a
// comparison reveals nothing, not even a length.
type digest [sha256.Size]byte

// Extension is a pipeline.Authenticator and a pipeline.ClientAuthenticator.
type Extension struct {
	cfg    Config
	life   lifecycle.Cycle
	log    *slog.Logger
	header string                // in lower case
	file   *watched.File[tokens] // nil without a file
	only   tokens                // without a file

	// equal is subtle.ConstantTimeCompare; tests count its calls.
	equal func(x, y []byte) int
}

// New creates an authenticator. It reads no file.
func New(cfg Config, set component.Settings) (*Extension, error) {
	set = set.OrDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("extension %q: %w", set.ID, err)
	}
	e := &Extension{cfg: cfg, header: strings.ToLower(cfg.Header), equal: subtle.ConstantTimeCompare}
	e.log = set.Logger
	switch {
	case cfg.Filename != "":
		e.file = watched.New(cfg.Filename, e.log, parse)
	case cfg.Token != "":
		e.only = tokensOf([]config.Secret{cfg.Token})
	default:
		e.only = tokensOf(cfg.Tokens)
	}
	return e, nil
}

// tokens are those that are accepted, and the first of them, which is sent.
type tokens struct {
	accepted []digest
	first    config.Secret
}

func (t *tokens) add(token string) {
	if len(t.accepted) == 0 {
		t.first = config.Secret(token)
	}
	t.accepted = append(t.accepted, sha256.Sum256([]byte(token)))
}

func tokensOf(list []config.Secret) (all tokens) {
	for _, t := range list {
		all.add(strings.TrimSpace(string(t)))
	}
	return all
}

// parse returns the first word of each line. A line that starts with # is a
// comment, unlike in the Collector, where "#" would be a token.
func parse(content []byte) (tokens, error) {
	all := tokens{}
	for line := range strings.Lines(string(content)) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if all.add(words[0]); len(all.accepted) > maxTokens {
			return tokens{}, fmt.Errorf("expected at most %d tokens, found more", maxTokens)
		}
	}
	return all, nil
}

// Start reads the file. A second call returns the same result.
func (e *Extension) Start(ctx context.Context) error {
	return e.life.Start(func(*lifecycle.Undo) error { return e.load(ctx) })
}

// load reads the file, with retries if configured.
func (e *Extension) load(ctx context.Context) error {
	if e.file == nil {
		return nil
	}
	err := e.file.Load()
	retry := e.cfg.RetryOnFailure
	if err != nil && retry.Enabled && !e.cfg.WaitForTokenFile {
		e.log.Warn("the token file cannot be read yet; requests get a retryable error until it can", slog.Any("error", err))
		return nil
	}
	interval := cmp.Or(retry.Interval, time.Second)
	for tries := 0; err != nil && retry.Enabled && (retry.MaxRetries == 0 || tries < retry.MaxRetries); tries++ {
		select {
		case <-ctx.Done():
			return fmt.Errorf("filename: %w (while waiting for it: %w)", err, context.Cause(ctx))
		case <-time.After(interval):
			err = e.file.Load()
		}
	}
	if err != nil {
		return fmt.Errorf("filename: %w", err)
	}
	return nil
}

// Shutdown stops nothing: the extension has no goroutines.
func (e *Extension) Shutdown(context.Context) error {
	return e.life.Shutdown(func() error { return nil })
}

// Authenticate implements pipeline.Authenticator. The subject is "token 1",
// with the position of the token in the list.
func (e *Extension) Authenticate(_ context.Context, header func(string) []string) (*pipeline.Identity, error) {
	value, err := credential.Value(header, e.header)
	switch {
	case errors.Is(err, credential.ErrMissing):
		return nil, fmt.Errorf("missing or empty authorization header: %s", e.cfg.Header)
	case err != nil:
		return nil, fmt.Errorf("the authorization header %s cannot be used: %w", e.cfg.Header, err)
	}
	token, ok := credential.Split(value, e.cfg.Scheme)
	if !ok {
		return nil, errWrong
	}
	known, err := e.tokens()
	if err != nil {
		return nil, err
	}
	if place := e.find(known.accepted, sha256.Sum256([]byte(token))); place > 0 {
		return &pipeline.Identity{Subject: fmt.Sprint("token ", place)}, nil
	}
	return nil, errWrong
}

// tokens returns the current ones.
func (e *Extension) tokens() (tokens, error) {
	if e.file == nil {
		return e.only, nil
	}
	if read := e.file.Get(); read != nil {
		return *read, nil
	}
	return tokens{}, &pipeline.Error{Kind: pipeline.Retryable, RetryAfter: time.Second, Err: errNotRead}
}

// AddCredentials implements pipeline.ClientAuthenticator: it sends the first token.
func (e *Extension) AddCredentials(_ context.Context, _ *pipeline.Client, headers map[string]string) error {
	known, err := e.tokens()
	switch {
	case err != nil:
		return err
	case known.first == "":
		return &pipeline.Error{Kind: pipeline.Retryable, RetryAfter: time.Second, Err: errNoToken}
	}
	headers[e.header] = strings.TrimPrefix(e.cfg.Scheme+" ", " ") + string(known.first)
	return nil
}

// find returns the position of d in known, from 1, or 0 if it is not there. It
// always compares all.
func (e *Extension) find(known []digest, d digest) int {
	place := 0
	for i := range known {
		same := e.equal(known[i][:], d[:])
		place = subtle.ConstantTimeSelect(same, i+1, place)
	}
	return place
}
