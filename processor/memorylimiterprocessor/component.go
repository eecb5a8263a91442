package memorylimiterprocessor

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the processor to a service.
func Component() component.Descriptor {
	return component.OfProcessor("memory_limiter", component.AllSignals("Alpha"), DefaultConfig, New)
}

// Extension describes the extension of the same name, which has the processor's
// configuration and effect: it sets the budget. A list "middlewares" may
// contain it.
func Extension() component.Descriptor {
	return component.Descriptor{
		Kind: component.KindExtension, Type: "memory_limiter", DefaultConfig: newConfig, Role: component.RoleMiddleware,
	}
}

func newConfig() any {
	c := DefaultConfig()
	return &c
}

// Percentage implements component.MemoryLimiter.
func (c *Config) Percentage() uint32 { return c.LimitPercentage }
