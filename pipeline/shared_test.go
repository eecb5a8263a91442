package pipeline

import (
	"context"
	"errors"
	"sync"
	"testing"
)

type server struct{ starts, stops int }

func (s *server) Start(context.Context) error    { s.starts++; return nil }
func (s *server) Shutdown(context.Context) error { s.stops++; return nil }

func TestSharedServesAllUsersOfAKey(t *testing.T) {
	var all Shared[string, *server]
	created := 0
	get := func(key string) *Handle[string, *server] {
		h, err := all.Get(key, func() (*server, error) { created++; return &server{}, nil })
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	a, b, other := get("k"), get("k"), get("other")
	if a.Component() != b.Component() || a.Component() == other.Component() || created != 2 {
		t.Fatalf("%d created for two keys", created)
	}
	ctx := t.Context()
	for _, h := range []*Handle[string, *server]{a, b, a} {
		if err := h.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	srv := a.Component()
	if srv.starts != 1 {
		t.Errorf("started %d times", srv.starts)
	}
	for range 2 { // a second Shutdown of one user is not another user's
		if err := a.Shutdown(ctx); err != nil || srv.stops != 0 {
			t.Fatalf("shut down with a user left: %v", err)
		}
	}
	if err := b.Shutdown(ctx); err != nil || srv.stops != 1 {
		t.Fatalf("%d stops after the last user, %v", srv.stops, err)
	}
	if again := get("k"); again.Component() == srv {
		t.Error("the key still holds what was shut down")
	}
}

func TestSharedKeepsNothingAfterAnError(t *testing.T) {
	var all Shared[int, *server]
	boom := errors.New("boom")
	if _, err := all.Get(1, func() (*server, error) { return nil, boom }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if _, err := all.Get(1, func() (*server, error) { return &server{}, nil }); err != nil {
		t.Error("the failed attempt is remembered:", err)
	}
}

type failing struct{ server }

func (f *failing) Start(context.Context) error { f.starts++; return errors.New("port in use") }

func TestSharedStartErrorIsEverybodys(t *testing.T) {
	var all Shared[int, *failing]
	create := func() (*failing, error) { return &failing{}, nil }
	a, _ := all.Get(1, create)
	b, _ := all.Get(1, create)
	if a.Start(t.Context()) == nil || b.Start(t.Context()) == nil || a.Component().starts != 1 {
		t.Error("the second user does not get the error of the start")
	}
}

func TestSharedConcurrently(t *testing.T) {
	var all Shared[int, *server]
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				h, err := all.Get(1, func() (*server, error) { return &server{}, nil })
				if err != nil {
					t.Error(err)
					return
				}
				if err := h.Start(context.Background()); err != nil {
					t.Error(err)
				}
				if err := h.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(all.all) != 0 {
		t.Error("instances are left")
	}
}
