package graph

import (
	"context"
	"fmt"
	"sync"

	"github.com/penstock-telemetry/penstock/pipeline"
)

// startedExtensions are the extensions that other components can look up.
type startedExtensions struct {
	mu  sync.RWMutex
	all map[string]any // by id
}

func (s *startedExtensions) find(id string) (any, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.all[id]
	return e, ok
}

func (s *startedExtensions) set(id string, e any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]any{}
	}
	if e == nil {
		delete(s.all, id)
		return
	}
	s.all[id] = e
}

// Extension finds a started extension by its id.
func (g *Graph) Extension(id string) (any, bool) { return g.extensions.find(id) }

// An extensionPart can be looked up from the end of Start to the beginning of
// Shutdown.
type extensionPart struct {
	pipeline.Component
	id    string
	among *startedExtensions
}

func (p extensionPart) Start(ctx context.Context) error {
	if err := p.Component.Start(ctx); err != nil {
		return fmt.Errorf("start extension %q: %w", p.id, err)
	}
	p.among.set(p.id, p.Component)
	return nil
}

func (p extensionPart) Shutdown(ctx context.Context) error {
	p.among.set(p.id, nil)
	if err := p.Component.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down extension %q: %w", p.id, err)
	}
	return nil
}
