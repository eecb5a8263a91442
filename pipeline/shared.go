package pipeline

import (
	"context"
	"errors"
	"sync"
)

// Shared lets several users of one configuration hold one component: the OTLP
// receiver is asked for once a signal, but has one pair of listeners.
//
// Users come with a key (the address of the configuration, say). The first
// creates the component, the others get the same. The first Start starts it, and
// later calls return the same result. It is shut down when the last user has
// shut down; after that the same key creates a new one.
type Shared[K comparable, C Component] struct {
	mu  sync.Mutex
	all map[K]*instance[K, C]
}

type instance[K comparable, C Component] struct {
	owner     *Shared[K, C]
	key       K
	component C
	users     int // guarded by owner.mu

	start    sync.Once
	startErr error
}

// Get returns a user's handle on the component for key, made by create if there
// is none. An error of create is returned and nothing is kept.
func (s *Shared[K, C]) Get(key K, create func() (C, error)) (*Handle[K, C], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.all[key]
	if in == nil {
		c, err := create()
		if err != nil {
			return nil, err
		}
		in = &instance[K, C]{owner: s, key: key, component: c}
		if s.all == nil {
			s.all = map[K]*instance[K, C]{}
		}
		s.all[key] = in
	}
	in.users++
	return &Handle[K, C]{in: in}, nil
}

// Handle is one user's share of a component.
type Handle[K comparable, C Component] struct {
	in   *instance[K, C]
	gone sync.Once
}

// Component returns what is shared.
func (h *Handle[K, C]) Component() C { return h.in.component }

// Start starts the component if no other user has.
func (h *Handle[K, C]) Start(ctx context.Context) error {
	h.in.start.Do(func() { h.in.startErr = h.in.component.Start(ctx) })
	return h.in.startErr
}

// Shutdown gives this user's share back; the last one shuts the component down.
func (h *Handle[K, C]) Shutdown(ctx context.Context) error {
	var err error
	h.gone.Do(func() {
		if h.in.leave() {
			// A Start that comes after the last Shutdown must not revive it.
			h.in.start.Do(func() { h.in.startErr = errors.New("pipeline: the shared component was shut down") })
			err = h.in.component.Shutdown(ctx)
		}
	})
	return err
}

// leave reports whether the user that leaves was the last.
func (in *instance[K, C]) leave() bool {
	in.owner.mu.Lock()
	defer in.owner.mu.Unlock()
	in.users--
	if in.users > 0 {
		return false
	}
	delete(in.owner.all, in.key)
	return true
}
