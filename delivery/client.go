package delivery

import (
	"maps"
	"slices"

	"github.com/penstock-telemetry/penstock/pipeline"
)

// sameMetadata compares what something downstream may use.
func sameMetadata(a, b *pipeline.Client) bool {
	if a == nil || b == nil {
		a, b = orEmpty(a), orEmpty(b)
	}
	return maps.EqualFunc(a.Metadata, b.Metadata, slices.Equal) && sameIdentity(a.Identity, b.Identity)
}

func orEmpty(c *pipeline.Client) *pipeline.Client {
	if c == nil {
		return &pipeline.Client{}
	}
	return c
}

func sameIdentity(a, b *pipeline.Identity) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Subject == b.Subject && maps.Equal(a.Attributes, b.Attributes)
}

func sameOrigin(a, b *pipeline.Client) bool {
	a, b = orEmpty(a), orEmpty(b)
	return a.Addr == b.Addr && a.Transport == b.Transport && a.Format == b.Format
}
