package load

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/suggest"
)

// extensions reads service.extensions.
func (l *loader) extensions(list *conf.Node) {
	p := &Pipeline{}
	for _, r := range l.refs(p, list, component.KindExtension) {
		if r.Target != nil {
			l.cfg.Extensions = append(l.cfg.Extensions, r.Target)
		}
	}
	if p.broken {
		l.useAll(list)
		l.cfg.Extensions = nil
	}
	l.extensionsUnclear = p.broken
}

// checkNeeds finds components that name an extension that is undefined, not
// enabled, or of another role.
func (l *loader) checkNeeds() {
	for _, c := range l.cfg.Components {
		if c.broken {
			continue
		}
		needs, ok := c.Config.(component.Needer)
		if !ok {
			continue
		}
		for _, need := range needs.Needs() {
			if err := l.checkNeed(need); err != nil {
				at, path := nearest(c.node, strings.Split(need.Key, ".")...)
				l.problems.Add(&conf.Error{Pos: at.Pos(), Path: path, Err: err})
			}
		}
	}
}

func (l *loader) checkNeed(need component.Need) error {
	side, noun := "server", string(need.Role)
	if need.Role == component.RoleClientAuthenticator {
		side, noun = "client", string(component.RoleAuthenticator)
	}
	notFound := fmt.Sprintf("failed to resolve %s %q: %[1]s not found", noun, need.ID)
	c := l.byID[component.KindExtension][need.ID]
	switch {
	case c == nil && l.undefinedExtensions[need.ID]:
		return nil // reported in service.extensions
	case c == nil:
		var known []string
		for id, other := range l.byID[component.KindExtension] {
			if other.provides(need.Role) {
				known = append(known, id)
			}
		}
		l.useMeant(need.ID, []component.Kind{component.KindExtension})
		return errors.New(notFound + suggest.Known(need.ID, known))
	case c.broken:
		return nil
	case !c.provides(need.Role) && need.Role == component.RoleStorage:
		return fmt.Errorf("requested extension is not a storage extension: %q is of type %s", need.ID, c.Descriptor.Type)
	case !c.provides(need.Role):
		return fmt.Errorf("requested %s is not a %s %[1]s: %[3]q is of type %[4]s%[5]s", noun, side, need.ID, c.Descriptor.Type, c.roles())
	case !slices.Contains(l.cfg.Extensions, c) && !l.extensionsUnclear:
		c.used = true // it must not be reported as unused as well
		return fmt.Errorf("%s: it is defined at %s, but not listed in service.extensions", notFound, c.node.KeyPos())
	}
	return nil
}

// provides reports whether an extension has a role.
func (c *Component) provides(r component.Role) bool {
	if p, ok := c.Config.(component.Provider); ok {
		return slices.Contains(p.Provides(), r)
	}
	return c.Descriptor.Role == r
}

// roles returns the end of an error about an extension whose role depends on its
// configuration.
func (c *Component) roles() string {
	p, ok := c.Config.(component.Provider)
	if !ok || len(p.Provides()) == 0 {
		return ""
	}
	return map[component.Role]string{
		component.RoleAuthenticator:       ", with settings for incoming requests",
		component.RoleClientAuthenticator: ", with settings for outgoing requests",
	}[p.Provides()[0]]
}

// nearest follows keys down from n as far as nodes exist. It returns the last
// node and the path of all keys.
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

// HasExtension reports whether an extension of a type is enabled.
func (c *Config) HasExtension(typ string) bool {
	return slices.ContainsFunc(c.Extensions, func(e *Component) bool { return e.Descriptor.Type == typ })
}
