package load

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"

	"github.com/penstock-telemetry/penstock/component"
)

// Fingerprint returns a text that changes with the configuration of a component, and
// with that of the extensions that it needs: a storage excepted, which only its queue
// uses.
func (c *Config) Fingerprint(of *Component) string {
	h := sha256.New()
	c.fingerprint(h, of, map[*Component]bool{})
	return hex.EncodeToString(h.Sum(nil))
}

func (c *Config) fingerprint(h hash.Hash, of *Component, above map[*Component]bool) {
	fmt.Fprintf(h, "%s %q %s ", of.Kind, of.ID, of.Descriptor.Type)
	of.node.WriteCanonical(h)
	if above[of] {
		return
	}
	above[of] = true
	defer delete(above, of)
	needs, ok := of.Config.(component.Needer)
	if !ok {
		return
	}
	for _, need := range needs.Needs() {
		if e := c.Extension(need.ID); e != nil && (need.Role != component.RoleStorage || of.Kind != component.KindExporter) {
			c.fingerprint(h, e, above)
		}
	}
}

// Extension returns an enabled extension; nil if there is none with the id.
func (c *Config) Extension(id string) *Component {
	for _, e := range c.Extensions {
		if e.ID == id {
			return e
		}
	}
	return nil
}

// Storages returns the ids of the enabled extensions that are storages.
func (c *Config) Storages() (ids []string) {
	for _, e := range c.Extensions {
		if e.provides(component.RoleStorage) {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// Fingerprint returns a text that changes with the lists of a pipeline.
func (p *Pipeline) Fingerprint() string {
	return fmt.Sprintf("%q %q %q", IDs(p.Receivers), IDs(p.Processors), IDs(p.Exporters))
}

// A Named is the fingerprint of a component or pipeline.
type Named struct{ Name, Print string }

// Fingerprints returns those of all components that are used, enabled extensions and
// pipelines.
func (c *Config) Fingerprints() (all []Named) {
	for _, comp := range c.Components {
		if comp.Kind != component.KindExtension || slices.Contains(c.Extensions, comp) {
			all = append(all, Named{fmt.Sprintf("%s %q", comp.Kind, comp.ID), c.Fingerprint(comp)})
		}
	}
	for _, p := range c.Pipelines {
		all = append(all, Named{fmt.Sprintf("pipeline %q", p.ID), p.Fingerprint()})
	}
	return all
}
