package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/extension/basicauthextension"
	"github.com/penstock-telemetry/penstock/extension/bearertokenauthextension"
	"github.com/penstock-telemetry/penstock/extension/healthcheckextension"
	"github.com/penstock-telemetry/penstock/extension/oidcextension"
	"github.com/penstock-telemetry/penstock/extension/pprofextension"
	"github.com/penstock-telemetry/penstock/extension/zpagesextension"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// A host is what the service tells extensions about itself.
type host struct {
	readiness healthcheckextension.Source
	snapshot  zpagesextension.Source
}

// makeExtension makes an extension from its configuration.
type makeExtension func(host, component.Settings) (pipeline.Component, error)

func planBasicAuth(n *conf.Node) (plan, error) {
	return planAuthenticator(n, basicauthextension.DefaultConfig(), basicauthextension.New)
}

func planBearerToken(n *conf.Node) (plan, error) {
	return planAuthenticator(n, bearertokenauthextension.DefaultConfig(), bearertokenauthextension.New)
}

func planOIDC(n *conf.Node) (plan, error) {
	return planAuthenticator(n, oidcextension.DefaultConfig(), oidcextension.New)
}

func planAuthenticator[C any, E interface {
	pipeline.Component
	pipeline.Authenticator
}](n *conf.Node, cfg C, create func(C, component.Settings) (E, error)) (plan, error) {
	err := n.Decode(&cfg)
	p := planExtension(&cfg, func(_ host, s component.Settings) (pipeline.Component, error) { return create(cfg, s) })
	p.config, p.role = cfg, component.RoleAuthenticator
	return p, err
}

func planHealthCheck(n *conf.Node) (plan, error) {
	cfg := healthcheckextension.DefaultConfig()
	err := n.Decode(&cfg)
	p := planExtension(&cfg, func(h host, s component.Settings) (pipeline.Component, error) {
		return healthcheckextension.New(cfg, s, h.readiness)
	})
	p.config, p.listens = cfg, []listener{listenerAt(n, cfg.Server.Transport, cfg.Server.Endpoint, "endpoint")}
	return p, err
}

func planPprof(n *conf.Node) (plan, error) {
	cfg := pprofextension.DefaultConfig()
	err := n.Decode(&cfg)
	p := planExtension(&cfg, func(_ host, s component.Settings) (pipeline.Component, error) {
		return pprofextension.New(cfg, s)
	})
	p.config, p.writes = cfg, cfg.SaveToFile
	p.listens = []listener{listenerAt(n, cfg.Server.Transport, cfg.Server.Endpoint, "endpoint")}
	return p, err
}

func planZPages(n *conf.Node) (plan, error) {
	cfg := zpagesextension.DefaultConfig()
	err := n.Decode(&cfg)
	p := planExtension(&cfg, func(h host, s component.Settings) (pipeline.Component, error) {
		return zpagesextension.New(cfg, s, h.snapshot)
	})
	p.config, p.listens = cfg, []listener{listenerAt(n, cfg.Server.Transport, cfg.Server.Endpoint, "endpoint")}
	return p, err
}

// planExtension is what all extensions have. cfg is a pointer to what was read.
func planExtension(cfg any, create makeExtension) plan {
	return plan{warnings: warningsOf(cfg), needs: needsOf(cfg), extension: create}
}

// needsOf asks a configuration which extensions it names.
func needsOf(cfg any) []component.Need {
	if c, ok := cfg.(interface{ Needs() []component.Need }); ok {
		return c.Needs()
	}
	return nil
}

// extensions reads service.extensions.
func (l *loader) extensions(list *conf.Node) {
	p := &pipelineConfig{}
	for _, r := range l.refs(p, list, Extension) {
		if r.target != nil {
			l.cfg.extensions = append(l.cfg.extensions, r.target)
		}
	}
	if p.broken {
		l.useAll(list)
		l.cfg.extensions = nil
	}
	l.extensionsUnclear = p.broken
}

// checkNeeds finds components that name an extension which is not there, not
// enabled, or of another kind.
func (l *loader) checkNeeds() {
	for _, c := range l.cfg.components {
		if c.broken {
			continue
		}
		for _, need := range c.needs {
			if err := l.checkNeed(need); err != nil {
				at, path := nearest(c.node, strings.Split(need.Key, ".")...)
				l.problems.Add(&conf.Error{Pos: at.Pos(), Path: path, Err: err})
			}
		}
	}
}

func (l *loader) checkNeed(need component.Need) error {
	notFound := fmt.Sprintf("failed to resolve %s %q: %[1]s not found", need.Role, need.ID)
	c := l.byID[Extension][need.ID]
	switch {
	case c == nil:
		var known []string
		for id, other := range l.byID[Extension] {
			if other.role == need.Role {
				known = append(known, id)
			}
		}
		l.useMeant(need.ID, []Kind{Extension})
		return errors.New(notFound + suggest.Known(need.ID, known))
	case c.broken:
		return nil
	case c.role != need.Role:
		text := "requested authenticator is not a server authenticator"
		if need.Role != component.RoleAuthenticator {
			text = fmt.Sprintf("requested %s is not a server %[1]s", need.Role)
		}
		return fmt.Errorf("%s: %q is of type %s", text, need.ID, c.typ.Type)
	case !slices.Contains(l.cfg.extensions, c) && !l.extensionsUnclear:
		c.used = true // or it would be told to be removed
		return fmt.Errorf("%s: it is defined at %s, but not listed in service.extensions", notFound, c.node.KeyPos())
	}
	return nil
}

// nearest goes down from n along keys as far as there are nodes, and returns the
// last one with the path of the whole way.
func nearest(n *conf.Node, keys ...string) (at *conf.Node, path string) {
	at, path = n, n.Path()+"."+strings.Join(keys, ".")
	for _, key := range keys {
		next := at.Get(key)
		if next == nil {
			break
		}
		at = next
	}
	return at, path
}

// startedExtensions are those that other components can find.
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

// An extensionPart can be found from the end of its start to the beginning of
// its end.
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

// extension makes one. One that has nothing to run, such as memory_limiter, is
// its configuration alone.
func (b *builder) extension(c *definition) []part {
	if c.extension == nil {
		return nil
	}
	e, err := c.extension(b.host, b.settingsFor(c))
	if err != nil {
		b.fail(c, err)
		return nil
	}
	return []part{{"extension " + quote(c.id), extensionPart{e, c.id, b.started}}}
}

func (s *Service) isReady() bool {
	_, err := s.readiness()
	return err == nil
}

// readiness says since when all listeners are up, or what is in the way of data
// coming in. Receivers whose listeners may die tell by a method Healthy.
func (s *Service) readiness() (since time.Time, err error) {
	if !s.ready.Load() {
		return time.Time{}, errors.New("starting or shutting down")
	}
	for _, r := range s.graph.receivers {
		if h, ok := r.instance.(interface{ Healthy() error }); ok {
			if err := h.Healthy(); err != nil {
				return time.Time{}, fmt.Errorf("receiver %q: %w", r.config.id, err)
			}
		}
	}
	return s.readySince, nil
}
