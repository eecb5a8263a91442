package basicauthextension

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const canary = "s3cret-canary"

// The output of openssl passwd for "letmein".
const (
	md5Hash    = "$apr1$abcdefgh$2/f5Gp5itvzIJXRHg/wa/1"
	sha256Hash = "$5$abcdefgh$EhSEcjUDNiBjo1b25maFEnue6wNfkZpndgufyDJjdpC"
	sha512Hash = "$6$abcdefgh$rP8HGKCp.1XL6v4/dKJWt8.Mje.Xx588Q58o5Hfy3wyttFxf99.pN6DeqPRQPaOGw195uNwfom.plH0ubplAr0"
)

// hashOf returns a hash with a low cost.
func hashOf(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func newExtension(t testing.TB, inline string) *Extension {
	t.Helper()
	e, err := New(Config{Htpasswd: &HtpasswdConfig{Inline: config.Secret(inline)}}, component.Settings{ID: "basicauth"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// headers returns the values of one header.
func headers(name string, values ...string) func(string) []string {
	return func(asked string) []string {
		if asked == name {
			return values
		}
		return nil
	}
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	e := newExtension(t, "# users\n\n  ann : "+hashOf(t, canary)+"\r\nbob:"+hashOf(t, "p:w")+"\n")
	good := basic("ann", canary)
	for _, c := range []struct {
		name   string
		values []string
		want   string // an error, or a subject
	}{
		{"none", nil, "no basic auth provided"},
		{"empty", []string{""}, "no basic auth provided"},
		{"right", []string{good}, "ann"},
		{"right again", []string{good}, "ann"},
		{"a colon in the password", []string{basic("bob", "p:w")}, "bob"},
		{"scheme in lower case", []string{"basic" + good[5:]}, "ann"},
		{"scheme in upper case", []string{"BASIC" + good[5:]}, "ann"},
		{"trailing space", []string{good + " "}, "ann"},
		{"wrong password", []string{basic("ann", "x")}, "invalid credentials"},
		{"wrong password again", []string{basic("ann", "x")}, "invalid credentials"},
		{"empty password", []string{basic("ann", "")}, "invalid credentials"},
		{"another's password", []string{basic("bob", canary)}, "invalid credentials"},
		{"unknown user", []string{basic("eve", canary)}, "invalid credentials"},
		{"user in another case", []string{basic("Ann", canary)}, "invalid credentials"},
		{"user with a space", []string{basic("ann ", canary)}, "invalid credentials"},
		{"password with a space", []string{basic("ann", canary+" ")}, "invalid credentials"},
		{"empty user", []string{basic("", canary)}, "invalid authorization format"},
		{"another scheme", []string{"Bearer " + canary}, "invalid authorization scheme prefix"},
		{"scheme alone", []string{"Basic"}, "invalid authorization scheme prefix"},
		{"no scheme", []string{good[6:]}, "invalid authorization scheme prefix"},
		{"no base64", []string{"Basic " + canary}, "invalid authorization format"},
		{"no colon", []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(canary))}, "invalid authorization format"},
		{"control characters", []string{basic("ann", canary+"\x00")}, "invalid authorization format"},
		{"the same twice", []string{good, good}, "invalid authorization format: the header authorization: it occurs more than once"},
		{"two different", []string{good, basic("eve", "x")}, "invalid authorization format: the header authorization: it occurs more than once"},
		{"very long password", []string{basic("ann", strings.Repeat("x", maxPasswordBytes+1))}, "invalid credentials"},
		{"very long header", []string{basic("ann", strings.Repeat(canary, 10_000))}, "invalid authorization format: the header authorization: it is longer than 16384 bytes"},
	} {
		id, err := e.Authenticate(t.Context(), headers("authorization", c.values...))
		got := fmt.Sprint(err)
		if err == nil {
			got = id.Subject
			if id.Attributes["username"] != id.Subject || len(id.Attributes) != 1 {
				t.Errorf("%s: attributes %v", c.name, id.Attributes)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if strings.Contains(got, canary) {
			t.Errorf("%s: the secret is in %q", c.name, got)
		}
		var pe *pipeline.Error
		if errors.As(err, &pe) {
			t.Errorf("%s: the refusal is not permanent: %v", c.name, pe.Kind)
		}
	}
}

func TestEveryKindOfHash(t *testing.T) {
	t.Parallel()
	for kind, hash := range map[string]string{
		"bcrypt":        hashOf(t, "letmein"),
		"bcrypt of PHP": "$2y$" + strings.TrimPrefix(hashOf(t, "letmein"), "$2a$"),
		"SHA":           "{SHA}t6h1/B6iKLkGEEG3zsS9PFKrPOM=",
		"plain":         "letmein",
		"plain, marked": "{PLAIN}letmein",
		"MD5":           md5Hash,
		"SHA-256 crypt": sha256Hash,
		"SHA-512 crypt": sha512Hash,
	} {
		e := newExtension(t, "ann:"+hash)
		for range 2 {
			if _, err := e.Authenticate(t.Context(), headers("authorization", basic("ann", "letmein"))); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if _, err := e.Authenticate(t.Context(), headers("authorization", basic("ann", "letmeout"))); !errors.Is(err, errInvalid) {
				t.Errorf("%s: a wrong password: %v", kind, err)
			}
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	whole := hashOf(t, canary)
	for _, c := range []struct{ yaml, want string }{
		{"{}", "no credential source provided: expected htpasswd.file, htpasswd.inline or both"},
		{"{htpasswd: }", "no credential source provided"},
		{"{htpasswd: {file: ''}}", "no credential source provided"},
		{"{htpasswd: {inline: '" + canary + "'}}", "htpasswd.inline: htpasswd line 1: expected user:hash"},
		{"{htpasswd: {inline: '" + canary + ":'}}", "line 1: expected user:hash"},
		{"{htpasswd: {inline: ':" + canary + "'}}", "line 1: expected user:hash"},
		{"{htpasswd: {inline: 'ann:" + whole[:40] + "'}}", `line 1: user "ann": malformed bcrypt hash`},
		{"{htpasswd: {inline: 'ann:$$2a$$31$$" + whole[7:] + "'}}", "expected a bcrypt cost of at most 16, found 31"},
		{"{htpasswd: {inline: 'ann:$$6$$rounds=x$$salt$$" + canary + "'}}", "expected crypt rounds from 1000 to 1000000"},
		{"{htpasswd: {inline: 'ann:$$6$$rounds=999999999$$salt$$" + canary + "'}}", "expected crypt rounds from 1000 to 1000000"},
		{"{htpasswd: {inline: 'ann:$$6$$" + canary + "'}}", "malformed crypt hash"},
		{"{htpasswd: {inline: 'ann:$$argon2id$$" + canary + "'}}", "unknown kind of hash"},
		{"{htpasswd: {inline: 'ann:{SSHA}" + canary + "'}}", "malformed SSHA hash"},
		{"{htpasswd: {inline: 'ann:{SHA}" + canary + "'}}", "malformed SHA hash"},
		{"{htpasswd: {inline: 'a:b'}, client_auth: {username: x, password: " + canary + "}}", "client_auth: only one of `htpasswd` or `client_auth` can be specified"},
		{"{client_auth: {password: " + canary + "}}", "client_auth.username: expected username or username_file, found neither"},
		{"{client_auth: {username: 'a:b', password: " + canary + "}}", "client_auth.username: expected a name without colons"},
		{"{client_auth: {username: x, password: " + canary + "}}", "<nil>"},
		{"{htpasswd: {inline: 'a:b'}, client_auth: }", "<nil>"},
		{"{htpasswd: {inline: 'a:b', fle: x}}", `unknown key, did you mean "file"?`},
	} {
		cfg := DefaultConfig()
		err := testkit.Decode(t, c.yaml, &cfg)
		if got := fmt.Sprint(err); !strings.Contains(got, c.want) || strings.Contains(got, canary) {
			t.Errorf("%s:\ngot  %s\nwant %s", c.yaml, got, c.want)
		}
	}
}

func TestPlainPasswordsAreWarnedAbout(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	if err := testkit.Decode(t, "{htpasswd: {inline: \"ann:"+canary+"\\nbob:{SHA}t6h1/B6iKLkGEEG3zsS9PFKrPOM=\"}}", &cfg); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(cfg.Warnings(), ""); !strings.Contains(got, "1 of 2 passwords are in plain text") || strings.Contains(got, canary) {
		t.Errorf("got %q", got)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), marshalled(t, cfg)} {
		if strings.Contains(text, canary) {
			t.Errorf("the secret is printed: %s", text)
		}
	}
}

func marshalled(t *testing.T, v any) string {
	t.Helper()
	text, err := conf.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// counted counts the comparisons.
type counted struct {
	right string
	n     atomic.Int32
	allow chan struct{} // if not nil, each comparison receives from it
}

func (c *counted) MatchesPassword(password string) bool {
	c.n.Add(1)
	if c.allow != nil {
		<-c.allow
	}
	return password == c.right
}

// counting replaces the hash of every user by one that counts.
func counting(e *Extension, allow chan struct{}) *counted {
	c := &counted{right: "right", allow: allow}
	for _, u := range e.only.users {
		u.hash = c
	}
	return c
}

func ask(t *testing.T, e *Extension, user, password string) error {
	_, err := e.Authenticate(t.Context(), headers("authorization", basic(user, password)))
	return err
}

// A client that always sends the same credentials costs one comparison, whether
// they are right or wrong.
func TestOneComparisonForEachCredential(t *testing.T) {
	t.Parallel()
	e := newExtension(t, "ann:x\nbob:x")
	c := counting(e, nil)
	for range 100 {
		for _, who := range []string{"ann", "bob"} {
			if err := ask(t, e, who, "right"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := c.n.Load(); n != 2 {
		t.Errorf("%d comparisons for two good credentials", n)
	}
	for range 100 {
		if err := ask(t, e, "ann", "wrong"); err == nil {
			t.Fatal("accepted")
		}
	}
	if n := c.n.Load(); n != 3 {
		t.Errorf("%d comparisons, want one more for a wrong credential", n)
	}
	if err := ask(t, e, "ann", "right"); err != nil {
		t.Errorf("after a wrong password the right one is not cached: %v", err)
	}
}

// An unknown user costs a comparison with the most expensive hash.
func TestUnknownUserCostsAComparison(t *testing.T) {
	t.Parallel()
	e := newExtension(t, "cheap:x\nann:"+hashOf(t, "y")+"\nmd5:"+md5Hash)
	if e.only.dummy != e.only.users["ann"] {
		t.Error("the dummy's hash is not the most expensive")
	}
	c := counting(e, nil)
	if err := ask(t, e, "eve", "right"); !errors.Is(err, errInvalid) { // the password of the hash, but eve does not exist
		t.Errorf("got %v", err)
	}
	if n := c.n.Load(); n != 1 {
		t.Errorf("%d comparisons", n)
	}
	if err := ask(t, e, "eve", "right"); !errors.Is(err, errInvalid) {
		t.Errorf("the second time: %v", err)
	}
}

// Concurrent requests of one new client cost one comparison together.
func TestConcurrentRequestsShareComparison(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newExtension(t, "ann:x")
		e.slots = make(chan struct{}, 1)
		allow := make(chan struct{})
		c := counting(e, allow)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := ask(t, e, "ann", "right"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(allow)
		wg.Wait()
		if n := c.n.Load(); n != 1 {
			t.Errorf("%d comparisons", n)
		}
	})
}

// Many wrong passwords are hashed one at a time and wait in a bounded queue.
// Known clients are not affected.
func TestFloodIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newExtension(t, "ann:x\nbob:x")
		e.slots = make(chan struct{}, 1)
		allow := make(chan struct{}, 1)
		c := counting(e, allow)
		allow <- struct{}{}
		if err := ask(t, e, "ann", "right"); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var refused, later atomic.Int32
		const flood = maxWaiting + 100
		for i := range flood {
			wg.Go(func() {
				err := ask(t, e, "bob", fmt.Sprint("guess", i))
				var pe *pipeline.Error
				switch {
				case errors.As(err, &pe) && pe.Kind == pipeline.Retryable && pe.RetryAfter > 0:
					later.Add(1)
				case errors.Is(err, errInvalid):
					refused.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		if n := c.n.Load(); n != 2 {
			t.Errorf("%d comparisons, want that of ann and one in progress", n)
		}
		if n := later.Load(); n != flood-maxWaiting-1 {
			t.Errorf("%d were refused immediately, want %d", n, flood-maxWaiting-1)
		}
		if err := ask(t, e, "ann", "right"); err != nil {
			t.Errorf("a known client is refused during the flood: %v", err)
		}
		time.Sleep(maxWait + time.Millisecond)
		synctest.Wait()
		if n := later.Load(); n != flood-1 {
			t.Errorf("%d were refused after %v, want %d", n, maxWait, flood-1)
		}
		close(allow)
		wg.Wait()
		if refused.Load() != 1 || e.waiting.Load() != 0 {
			t.Errorf("%d refused, %d still counted as waiting", refused.Load(), e.waiting.Load())
		}
	})
}

func TestWaitEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	e := newExtension(t, "ann:x")
	for range cap(e.slots) {
		e.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Authenticate(ctx, headers("authorization", basic("ann", "x")))
	var pe *pipeline.Error
	if !errors.As(err, &pe) || pe.Kind != pipeline.Retryable {
		t.Errorf("got %v", err)
	}
}

// The file is reloaded, and the cache of the old content is discarded.
func TestFileChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "htpasswd")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ann:" + hashOf(t, canary) + "\nbob:" + hashOf(t, "file"))
	var log testkit.Log
	e, err := New(Config{Htpasswd: &HtpasswdConfig{File: path, Inline: config.Secret("bob:" + hashOf(t, "inline"))}},
		component.Settings{ID: "basicauth", Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(ask(t, e, "ann", canary), ask(t, e, "bob", "inline")); err != nil {
		t.Fatal(err)
	}
	if ask(t, e, "bob", "file") == nil {
		t.Error("bob of the file was accepted; inline takes precedence")
	}
	write("ann:" + hashOf(t, "new"))
	if err := e.file.Load(); err != nil { // like a call a second later
		t.Fatal(err)
	}
	if ask(t, e, "ann", canary) == nil {
		t.Error("the old password is still accepted")
	}
	if err := errors.Join(ask(t, e, "ann", "new"), ask(t, e, "bob", "inline")); err != nil {
		t.Error(err)
	}
	write("ann:" + hashOf(t, "newer")[:30]) // truncated
	if err := e.file.Load(); err == nil || !strings.Contains(err.Error(), "malformed bcrypt hash") {
		t.Errorf("a truncated file: %v", err)
	}
	if err := ask(t, e, "ann", "new"); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), canary) || strings.Contains(log.String(), "$2") {
		t.Errorf("a secret is in the log:\n%s", log.String())
	}
	for range 2 {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestStartWithoutItsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nothing")
	e, err := New(Config{Htpasswd: &HtpasswdConfig{File: path}}, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "htpasswd.file: ") {
		t.Errorf("got %v", err)
	}
	var pe *pipeline.Error
	if err := ask(t, e, "ann", "x"); !errors.As(err, &pe) || pe.Kind != pipeline.Retryable {
		t.Errorf("before the file was read: %v", err)
	}
}

// The cost of a request of a known client.
func BenchmarkKnown(b *testing.B) {
	e := newExtension(b, "ann:"+hashOf(b, "x"))
	h := headers("authorization", basic("ann", "x"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Authenticate(b.Context(), h); err != nil {
			b.Fatal(err)
		}
	}
}
