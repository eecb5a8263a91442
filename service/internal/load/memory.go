package load

import "github.com/penstock-telemetry/penstock/component"

// MemoryLimiters returns the components that limit the memory of the process.
func (c *Config) MemoryLimiters() []*Component {
	var all []*Component
	for _, comp := range c.Components {
		if _, ok := comp.Config.(component.MemoryLimiter); ok && !comp.broken {
			all = append(all, comp)
		}
	}
	return all
}

// checkMemory finds memory limits that differ.
func (l *loader) checkMemory() {
	all := l.cfg.MemoryLimiters()
	for i, c := range all {
		if i > 0 && limitsOf(c) != limitsOf(all[0]) {
			l.warnAt(c.node, "its limits differ from those of "+all[0].Path()+"; the memory is shared by the whole process, so the strictest limits apply")
		}
	}
}

// limits are the memory limits of one component.
type limits struct {
	relative   bool
	hard, soft int64
}

func limitsOf(c *Component) limits {
	const available = 1 << 50 // large enough that different percentages give different limits
	m := c.Config.(component.MemoryLimiter)
	hard, soft := m.Limits(available)
	return limits{m.Relative(), hard, soft}
}
