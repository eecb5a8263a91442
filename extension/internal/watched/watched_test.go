package watched

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

// rig is a watched file with a clock that the test sets.
type rig struct {
	*File[string]
	t      *testing.T
	path   string
	clock  time.Time
	parsed int
	log    testkit.Log
}

func newRig(t *testing.T, content string) *rig {
	t.Helper()
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "secret"), clock: time.Unix(1e9, 0)}
	r.write(content)
	r.File = New(r.path, r.log.Logger(), func(b []byte) (string, error) {
		r.parsed++
		if strings.HasPrefix(string(b), "bad") {
			return "", errors.New("line 1 is malformed")
		}
		return string(b), nil
	})
	r.now = func() time.Time { return r.clock }
	return r
}

func (r *rig) write(content string) {
	r.t.Helper()
	if err := os.WriteFile(r.path, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) want(content string) {
	r.t.Helper()
	if got := r.Get(); got == nil || *got != content {
		r.t.Errorf("got %v, want %q", got, content)
	}
}

func (r *rig) logged(n int) {
	r.t.Helper()
	if got := len(r.log.Lines("")); got != n {
		r.t.Errorf("%d lines in the log, want %d:\n%s", got, n, r.log.String())
	}
}

func TestChangesAreFoundWithinASecond(t *testing.T) {
	t.Parallel()
	r := newRig(t, "one")
	if err := r.Load(); err != nil {
		t.Fatal(err)
	}
	r.write("two") // of the same size, perhaps within the same tick of the file system's clock
	r.want("one")
	r.clock = r.clock.Add(CheckEvery)
	r.want("two")
	for range 10 {
		r.clock = r.clock.Add(CheckEvery)
		r.want("two")
	}
	if r.parsed != 2 {
		t.Errorf("parsed %d times, want 2", r.parsed)
	}
}

func TestRenamedFileIsFound(t *testing.T) {
	t.Parallel()
	r := newRig(t, "one")
	r.want("one")
	other := r.path + ".new"
	if err := os.WriteFile(other, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, r.path); err != nil {
		t.Fatal(err)
	}
	r.clock = r.clock.Add(CheckEvery)
	r.want("two")
}

func TestOldContentStaysIfNewIsInvalid(t *testing.T) {
	t.Parallel()
	r := newRig(t, "one")
	r.want("one")
	for _, fault := range []func(){
		func() { r.write("bad") },
		func() { r.write(strings.Repeat("x", MaxBytes+1)) },
		func() { _ = os.Remove(r.path) },
	} {
		fault()
		for range 3 {
			r.clock = r.clock.Add(CheckEvery)
			r.want("one")
		}
	}
	r.logged(1) // consecutive failures are logged once
	r.write("two")
	r.clock = r.clock.Add(CheckEvery)
	r.want("two")
	r.logged(3)
	if strings.Contains(r.log.String(), "bad") || strings.Contains(r.log.String(), "two") {
		t.Errorf("the content is in the log:\n%s", r.log.String())
	}
}

func TestEmptyFileIsUsedTheSecondTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, "one")
	r.want("one")
	r.write("")
	r.clock = r.clock.Add(CheckEvery)
	r.want("one")
	r.write("two")
	r.clock = r.clock.Add(CheckEvery)
	r.want("two")
	r.write(" \n")
	r.clock = r.clock.Add(CheckEvery)
	r.want("two")
	r.clock = r.clock.Add(CheckEvery)
	r.want(" \n")
}

func TestFileDoesNotExistYet(t *testing.T) {
	t.Parallel()
	r := newRig(t, "bad")
	if err := r.Load(); err == nil || !strings.Contains(err.Error(), r.path+": line 1 is malformed") {
		t.Errorf("got %v", err)
	}
	if r.Get() != nil {
		t.Error("Get returned content")
	}
	r.write("one")
	r.clock = r.clock.Add(CheckEvery)
	r.want("one")
}

// Run with -race.
func TestConcurrently(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	f := New(path, slog.New(slog.DiscardHandler), func(b []byte) (string, error) { return string(b), nil })
	if err := os.WriteFile(path, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	var clock sync.Mutex
	now := time.Unix(1e9, 0)
	f.now = func() time.Time {
		clock.Lock()
		defer clock.Unlock()
		now = now.Add(CheckEvery)
		return now
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				if f.Get() == nil {
					t.Error("no content")
				}
				if i == 0 {
					next := path + ".next"
					if err := errors.Join(os.WriteFile(next, fmt.Append(nil, i), 0o600), os.Rename(next, path)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}
