package memorylimiterprocessor

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Component describes the processor to a service.
func Component() component.Descriptor {
	d := component.Descriptor{
		Kind: component.KindProcessor, Type: "memory_limiter", Stability: component.AllSignals("Alpha"), DefaultConfig: newConfig,
	}
	d.ConsumerProcessor = func(config any, set component.Settings, next pipeline.Consumer) (component.Exporter, error) {
		return New(*config.(*Config), set, next)
	}
	return d
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
