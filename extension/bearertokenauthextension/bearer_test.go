package bearertokenauthextension

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const canary = "s3cret-canary"

func decode(t *testing.T, yaml string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, yaml, &cfg)
	return cfg, err
}

// decoded returns the extension with a valid configuration.
func decoded(t *testing.T, yaml string, log *testkit.Log) *Extension {
	t.Helper()
	cfg, err := decode(t, yaml)
	if err != nil {
		t.Fatal(err)
	}
	set := component.Settings{ID: "bearertokenauth"}
	if log != nil {
		set.Logger = log.Logger()
	}
	e, err := New(cfg, set)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// ask returns the subject or the error's text.
func ask(t *testing.T, e *Extension, name string, values ...string) string {
	t.Helper()
	id, err := e.Authenticate(t.Context(), func(asked string) []string {
		if asked == name {
			return values
		}
		return nil
	})
	if err != nil {
		if strings.Contains(err.Error(), canary) {
			t.Errorf("the secret is in %q", err)
		}
		return err.Error()
	}
	return id.Subject
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	const (
		missing = "missing or empty authorization header: Authorization"
		wrong   = "provided authorization does not match expected scheme or token"
		twice   = "the authorization header Authorization cannot be used: it occurs more than once"
		long    = "the authorization header Authorization cannot be used: it is longer than 16384 bytes"
	)
	e := decoded(t, "{tokens: ["+canary+", other]}", nil)
	for _, c := range []struct {
		name   string
		values []string
		want   string
	}{
		{"none", nil, missing},
		{"empty", []string{""}, missing},
		{"right", []string{"Bearer " + canary}, "token 1"},
		{"the second", []string{"Bearer other"}, "token 2"},
		{"scheme in lower case", []string{"bearer " + canary}, "token 1"},
		{"trailing space", []string{"Bearer " + canary + " "}, "token 1"},
		{"two spaces", []string{"Bearer  " + canary}, "token 1"},
		{"wrong", []string{"Bearer " + canary + "x"}, wrong},
		{"a part of the token", []string{"Bearer " + canary[:5]}, wrong},
		{"in upper case", []string{"Bearer " + strings.ToUpper(canary)}, wrong},
		{"both", []string{"Bearer " + canary + " other"}, wrong},
		{"another scheme", []string{"Basic " + canary}, wrong},
		{"no scheme", []string{canary}, wrong},
		{"scheme alone", []string{"Bearer"}, wrong},
		{"scheme and space", []string{"Bearer "}, wrong},
		{"the same twice", []string{"Bearer " + canary, "Bearer " + canary}, twice},
		{"two different", []string{"Bearer " + canary, "Bearer x"}, twice},
		{"very long", []string{"Bearer " + strings.Repeat(canary, 10_000)}, long},
	} {
		if got := ask(t, e, "authorization", c.values...); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestOwnHeaderAndScheme(t *testing.T) {
	t.Parallel()
	e := decoded(t, "{header: X-API-KEY, scheme: '', token: "+canary+"}", nil)
	for value, want := range map[string]string{
		canary:             "token 1",
		"Bearer " + canary: errWrong.Error(),
		"":                 "missing or empty authorization header: X-API-KEY",
	} {
		if got := ask(t, e, "x-api-key", value); got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
	if got := ask(t, e, "authorization", canary); !strings.HasPrefix(got, "missing") {
		t.Errorf("in another header: %q", got)
	}
	e = decoded(t, "{scheme: ApiKey, token: x}", nil)
	if got := ask(t, e, "authorization", "apikey x"); got != "token 1" {
		t.Errorf("another scheme: %q", got)
	}
}

// All tokens are compared, in constant time, wherever the match is.
func TestAllTokensAreCompared(t *testing.T) {
	t.Parallel()
	e := decoded(t, "{tokens: [a, b, c, a]}", nil)
	calls := 0
	e.equal = func(x, y []byte) int {
		calls++
		if len(x) != 32 || len(y) != 32 {
			t.Errorf("compared %d with %d bytes", len(x), len(y))
		}
		return subtle.ConstantTimeCompare(x, y)
	}
	for i, token := range []string{"a", "b", "c", "nobody's"} {
		ask(t, e, "authorization", "Bearer "+token)
		if want := 4 * (i + 1); calls != want {
			t.Errorf("%s: %d comparisons, want %d", token, calls, want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"{}":                                            "no bearer token provided",
		"{token: ''}":                                   "no bearer token provided",
		"{token: ' '}":                                  "token: expected a token, found spaces",
		"{tokens: []}":                                  "no bearer token provided",
		"{tokens: [" + canary + ", '']}":                "tokens: expected tokens, found an empty one",
		"{tokens: [x], token: " + canary + "}":          "tokens: either tokens or token should be provided, not both",
		"{token: " + canary + ", header: 'a b'}":        `header: expected the name of a header, found "a b"`,
		"{token: " + canary + ", header: ''}":           `header: expected the name of a header`,
		"{token: " + canary + ", scheme: 'a b'}":        `scheme: expected one word`,
		"{token: x, retry_on_failure: {enabled: true}}": "wait_for_token_file need filename",
		"{filename: x, wait_for_token_file: true}":      "wait_for_token_file requires retry_on_failure to be enabled",
		"{filename: x, retry_on_failure: {enabled: true, interval: -1s}}": "retry_on_failure.interval: expected 0 or more",
		"{filename: x, retry_on_failure: {max_retries: -1}}":              "retry_on_failure.max_retries: expected 0 or more",
		"{tken: x}": `did you mean "token"`,
	} {
		_, err := decode(t, yaml)
		if got := fmt.Sprint(err); !strings.Contains(got, want) || strings.Contains(got, canary) {
			t.Errorf("%s: got %s, want %s", yaml, got, want)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	cfg, err := decode(t, "{tokens: ["+canary+"], filename: x}")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Token = canary
	text, err := conf.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(cfg.Warnings(), string(text), fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg)) {
		if strings.Contains(text, canary) {
			t.Errorf("the secret is printed: %s", text)
		}
	}
	if len(cfg.Warnings()) != 1 {
		t.Errorf("warnings %q", cfg.Warnings())
	}
}

func TestTokensOfAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# the team's\n\n" + canary + "   of Ann\r\n\tother\n")
	var log testkit.Log
	e := decoded(t, fmt.Sprintf("{filename: %q, token: ignored}", path), &log)
	for range 2 {
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for token, want := range map[string]string{
		canary: "token 1", "other": "token 2", "#": errWrong.Error(), "of": errWrong.Error(), "ignored": errWrong.Error(), "": errWrong.Error(),
	} {
		if got := ask(t, e, "authorization", "Bearer "+token+" "); got != want {
			t.Errorf("%q: got %q, want %q", token, got, want)
		}
	}
	write("rotated\n")
	if err := e.file.Load(); err != nil { // like a call a second later
		t.Fatal(err)
	}
	if old, now := ask(t, e, "authorization", "Bearer "+canary), ask(t, e, "authorization", "Bearer rotated"); old != errWrong.Error() || now != "token 1" {
		t.Errorf("after the change: old %q, new %q", old, now)
	}
	write(strings.Repeat("x\n", maxTokens+1))
	if err := e.file.Load(); err == nil {
		t.Error("too many tokens were accepted")
	}
	if got := ask(t, e, "authorization", "Bearer rotated"); got != "token 1" {
		t.Errorf("after an invalid file: %q", got)
	}
	if strings.Contains(log.String(), canary) || strings.Contains(log.String(), "rotated") {
		t.Errorf("a secret is in the log:\n%s", log.String())
	}
	for range 2 {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestFileIsMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	e := decoded(t, fmt.Sprintf("{filename: %q}", path), nil)
	if err := e.Start(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	e = decoded(t, fmt.Sprintf("{filename: %q, retry_on_failure: {enabled: true}}", path), nil)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := e.Authenticate(t.Context(), func(string) []string { return []string{"Bearer x"} })
	var pe *pipeline.Error
	if !errors.As(err, &pe) || pe.Kind != pipeline.Retryable || pe.RetryAfter == 0 {
		t.Errorf("got %v", err)
	}
}

func TestStartWaitsForTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	yaml := fmt.Sprintf("{filename: %q, wait_for_token_file: true, retry_on_failure: {enabled: true, interval: 1m, max_retries: 3}}", path)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if err := decoded(t, yaml, nil).Start(t.Context()); !errors.Is(err, os.ErrNotExist) || time.Since(begin) != 3*time.Minute {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := decoded(t, yaml, nil).Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.AfterFunc(90*time.Second, func() {
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Error(err)
			}
		})
		e := decoded(t, yaml, nil)
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, e, "authorization", "Bearer x"); got != "token 1" {
			t.Errorf("got %q", got)
		}
	})
}
