package record

import (
	"maps"
	"slices"

	"github.com/penstock-telemetry/penstock/pipeline"
)

// Tag returns the same number for clients of which the same metadata and identity are
// kept; others rarely have the same one. It is 0 if nothing is kept. It is written, so it
// must not change.
func (k Keep) Tag(c *pipeline.Client) uint16 {
	if c == nil || c.Identity == nil && (len(k.metadata) == 0 || len(c.Metadata) == 0) {
		return 0
	}
	h := fnv(offset32)
	for _, key := range k.metadata {
		if values, ok := c.Metadata[key]; ok {
			h.add(key)
			for _, v := range values {
				h.add(v)
			}
		}
	}
	if id := c.Identity; id != nil {
		h.add("")
		h.add(id.Subject)
		for _, key := range slices.Sorted(maps.Keys(id.Attributes)) {
			if slices.Contains(k.attributes, key) {
				h.add(key)
				h.add(id.Attributes[key])
			}
		}
	}
	if h == offset32 {
		return 0
	}
	return uint16(h>>16 ^ h)
}

// fnv is FNV-1a.
type fnv uint32

const (
	offset32 = 2166136261
	prime32  = 16777619
)

// add adds a text and its end.
func (h *fnv) add(s string) {
	for i := range len(s) {
		*h = (*h ^ fnv(s[i])) * prime32
	}
	*h = (*h ^ 0xff) * prime32
}
