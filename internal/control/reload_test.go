package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/delivery"
)

// own starts the server of a process.
func own(t *testing.T, storage string, reload Reload) *Server {
	t.Helper()
	s := New(storage, reload, slog.New(slog.DiscardHandler))
	for range 2 { // the second call does nothing
		if err := s.Own(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	return s
}

// The answers of a process arrive as they are, with the kind of the failure.
func TestRequestReload(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text      string
		err       error
		want      string
		wantError string
	}{
		{text: "reloaded\n  changed: x\n", want: "reloaded\n  changed: x"},
		{text: "a.yaml:1:1: wrong\n1 problem", err: fmt.Errorf("x: %w", config.Errors{{Err: errors.New("wrong")}}), want: "a.yaml:1:1: wrong\n1 problem", wantError: ErrInvalid.Error()},
		{text: "later", err: ErrNotRunning, wantError: "later"},
		{text: "bind: in use", err: errors.New("other"), wantError: "bind: in use"},
	} {
		storage := filepath.Join(t.TempDir(), "data")
		s := own(t, storage, func(context.Context) (string, error) { return c.text, c.err })
		text, err := RequestReload(t.Context(), storage)
		if text != c.want || (err == nil) != (c.wantError == "") || err != nil && err.Error() != c.wantError {
			t.Errorf("%q: got %q, %v", c.text, text, err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := RequestReload(t.Context(), storage); err == nil || !strings.Contains(err.Error(), "the socket does not exist") {
			t.Errorf("after the end: %v", err)
		}
	}
}

// A client that does not wait does not end the reload.
func TestReloadGoesOn(t *testing.T) {
	t.Parallel()
	storage := t.TempDir()
	began, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	own(t, storage, func(ctx context.Context) (string, error) {
		close(began)
		<-release
		ended <- ctx.Err()
		return "", nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	if _, err := RequestReload(ctx, storage); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("the reload was interrupted: %v", err)
	}
}

// A socket of a storage cannot reload, and that of a process has one owner, whose end
// leaves it to the next.
func TestOwners(t *testing.T) {
	t.Parallel()
	storage := t.TempDir()
	first := own(t, storage, func(context.Context) (string, error) { return "first", nil })
	second := New(storage, func(context.Context) (string, error) { return "second", nil }, slog.New(slog.DiscardHandler))
	if err := second.Own(); !errors.Is(err, ErrOwned) {
		t.Errorf("got %v", err)
	}
	if err := second.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if text, err := RequestReload(t.Context(), storage); text != "first" {
		t.Errorf("got %q, %v", text, err)
	}
	if err := first.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Own(); err != nil {
		t.Fatal(err)
	}
	if text, err := RequestReload(t.Context(), storage); text != "second" {
		t.Errorf("got %q, %v", text, err)
	}
	if err := second.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}

	only := t.TempDir()
	serve(t, only, letters(t, only, "logs"))
	if _, err := RequestReload(t.Context(), only); err == nil || !strings.Contains(err.Error(), "only a storage") {
		t.Errorf("got %v", err)
	}
}

// Letters are those of the last owner; an owner that ends later removes nothing.
func TestLettersOfOwners(t *testing.T) {
	t.Parallel()
	storage := t.TempDir()
	s := own(t, storage, nil)
	count := func() int {
		t.Helper()
		l := remote{"logs", connect(storage), "", nil}
		defer l.http.CloseIdleConnections()
		list, err := l.List(t.Context())
		if err != nil && !strings.Contains(err.Error(), "has no queue of pipeline") {
			t.Error(err)
		}
		return len(list)
	}
	if got := count(); got != 0 {
		t.Errorf("%d letters", got)
	}
	before, after := new(int), new(int)
	s.SetLetters(before, letters(t, storage, "logs"))
	if got := count(); got != 3 {
		t.Errorf("%d letters", got)
	}
	s.SetLetters(after, map[string]*delivery.DeadLetters{"logs": letters(t, t.TempDir(), "logs")["logs"]})
	s.DropLetters(before)
	if got := count(); got != 3 {
		t.Errorf("%d letters", got)
	}
	s.DropLetters(after)
	if got := count(); got != 0 {
		t.Errorf("%d letters", got)
	}
}

// A server that ends leaves the socket of the one that has replaced its own.
func TestReplacedSocketStays(t *testing.T) {
	t.Parallel()
	storage := t.TempDir()
	if err := os.Mkdir(Folder(storage), 0o700); err != nil {
		t.Fatal(err)
	}
	first := serve(t, storage, nil)
	second := serve(t, storage, nil)
	if err := first.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(second.socket); err != nil {
		t.Error(err)
	}
	if err := second.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(second.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is there: %v", err)
	}
}
