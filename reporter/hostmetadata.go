package reporter

import (
	"sync"

	"github.com/penstock-telemetry/penstock/libpf"
)

// maxHostMetadataBytes bounds the host's metadata, keys and values together: they
// are on every resource. A quarter of a request is the bound if that is less.
const maxHostMetadataBytes = 64 << 10

// hostFacts is what is known of the host. The entries that came last stay.
type hostFacts struct {
	maxBytes int

	mu      sync.Mutex
	value   map[string]string
	order   []string // keys, the one set longest ago first
	bytes   int
	evicted uint64

	merged libpf.Attributes // value on top of under
	under  libpf.Attributes
	fresh  bool
}

// add takes entries; empty keys are none.
func (h *hostFacts) add(entries map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.value == nil {
		h.value = map[string]string{}
	}
	for k, v := range entries {
		if old, ok := h.value[k]; ok && old == v || k == "" {
			continue
		}
		h.set(k, v)
	}
}

func (h *hostFacts) set(k, v string) {
	h.fresh = false
	h.remove(k)
	if len(k)+len(v) > h.maxBytes {
		h.evicted++
		return
	}
	h.value[k] = v
	h.order = append(h.order, k)
	h.bytes += len(k) + len(v)
	for h.bytes > h.maxBytes {
		h.remove(h.order[0])
		h.evicted++
	}
}

func (h *hostFacts) remove(k string) {
	v, ok := h.value[k]
	if !ok {
		return
	}
	delete(h.value, k)
	h.bytes -= len(k) + len(v)
	for i, o := range h.order {
		if o == k {
			h.order = append(h.order[:i], h.order[i+1:]...)
			break
		}
	}
}

// on returns the metadata on top of other attributes.
func (h *hostFacts) on(under libpf.Attributes) libpf.Attributes {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.fresh || h.under != under {
		list := make([]libpf.Attribute, 0, len(h.value))
		for k, v := range h.value {
			list = append(list, libpf.StringAttr(k, v))
		}
		h.merged, h.under, h.fresh = under.With(list...), under, true
	}
	return h.merged
}

func (h *hostFacts) evictions() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.evicted
}
