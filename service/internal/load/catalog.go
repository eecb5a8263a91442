package load

import (
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/component"
)

// A catalog lists the component types that a configuration can use.
type catalog []component.Descriptor

// find returns the type with the name or alias typ, and the names of its kind
// that are not deprecated.
func (c catalog) find(k component.Kind, typ string) (found component.Descriptor, known []string) {
	for _, d := range c {
		if d.Kind != k {
			continue
		}
		for _, name := range d.Names() {
			if !deprecated(d) {
				known = append(known, name)
			}
			if name == typ {
				found = d
			}
		}
	}
	return found, known
}

// deprecated reports whether a type works, and is not to be suggested.
func deprecated(d component.Descriptor) bool {
	for _, level := range d.Stability {
		if level == "Deprecated" {
			return true
		}
	}
	return false
}

// check rejects invalid descriptors, and names that two types share.
func (c catalog) check() error {
	if len(c) == 0 {
		return errors.New("no components: expected a list such as components.Default() in Options.Components")
	}
	seen := map[component.Kind]map[string]bool{}
	for _, d := range c {
		if err := d.Validate(); err != nil {
			return err
		}
		if seen[d.Kind] == nil {
			seen[d.Kind] = map[string]bool{}
		}
		for _, name := range d.Names() {
			if seen[d.Kind][name] {
				return fmt.Errorf("two components are the %s %q", d.Kind, name)
			}
			seen[d.Kind][name] = true
		}
	}
	return nil
}
