package load

import "github.com/penstock-telemetry/penstock/component"

// MemoryLimiters returns the components that bound the memory of the process.
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
			l.warnAt(c.node, "its limits differ from those of "+all[0].Path()+"; the process has one memory, so the strictest counts for all")
		}
	}
}

// limits are what a component says about the memory of a process.
type limits struct {
	relative   bool
	hard, soft int64
}

func limitsOf(c *Component) limits {
	const available = 1 << 50 // so large that percentages stay apart
	m := c.Config.(component.MemoryLimiter)
	hard, soft := m.Limits(available)
	return limits{m.Relative(), hard, soft}
}
