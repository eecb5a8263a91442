package reporter

import (
	"slices"
	"sync"

	"github.com/penstock-telemetry/penstock/libpf"
)

const (
	// maxHostMetadataBytes bounds the host's metadata, keys and values together, and
	// hostEntryBytes for each: they are on every resource. A quarter of a request is
	// the bound if that is less.
	maxHostMetadataBytes = 64 << 10
	hostEntryBytes       = 32
)

// hostFacts is what is known of the host. The entries that came last stay.
type hostFacts struct {
	maxBytes int

	mu      sync.Mutex
	value   map[string]hostValue
	order   []hostKey // in the order in which they were set; old ones of a key are skipped
	first   int       // of order: those before it are gone
	sets    uint64
	bytes   int
	evicted uint64

	merged libpf.Attributes // value on top of under
	under  libpf.Attributes
	fresh  bool
}

type (
	hostValue struct {
		text string
		set  uint64 // when it was set: the number of the call of set
	}
	hostKey struct {
		key string
		set uint64
	}
)

// add takes entries; empty keys are none.
func (h *hostFacts) add(entries map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.value == nil {
		h.value = map[string]hostValue{}
	}
	for k, v := range entries {
		if old, ok := h.value[k]; ok && old.text == v || k == "" {
			continue
		}
		h.set(k, v)
	}
}

func (h *hostFacts) set(k, v string) {
	h.fresh = false
	h.remove(k)
	if hostBytes(k, v) > h.maxBytes {
		h.evicted++
		return
	}
	h.sets++
	h.value[k] = hostValue{v, h.sets}
	h.order = append(h.order, hostKey{k, h.sets})
	h.bytes += hostBytes(k, v)
	for h.bytes > h.maxBytes {
		h.evictOldest()
	}
	if gone := len(h.order) - len(h.value); gone > len(h.value)+16 { // each is moved once for each that is gone
		h.order = slices.DeleteFunc(h.order, func(o hostKey) bool { return h.value[o.key].set != o.set })
		h.first = 0
	}
}

func hostBytes(k, v string) int { return len(k) + len(v) + hostEntryBytes }

func (h *hostFacts) evictOldest() {
	o := h.order[h.first]
	h.first++
	if h.value[o.key].set == o.set {
		h.remove(o.key)
		h.evicted++
	}
}

func (h *hostFacts) remove(k string) {
	if v, ok := h.value[k]; ok {
		delete(h.value, k)
		h.bytes -= hostBytes(k, v.text)
	}
}

// wireBytes is more than the metadata takes on a resource.
func (h *hostFacts) wireBytes() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(max(h.bytes, len(h.merged)))
}

// memoryBytes is more than the metadata takes in memory, with what a window makes of it.
func (h *hostFacts) memoryBytes() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(8*h.bytes + 2*len(h.merged))
}

// on returns the metadata on top of other attributes.
func (h *hostFacts) on(under libpf.Attributes) libpf.Attributes {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.fresh || h.under != under {
		list := make([]libpf.Attribute, 0, len(h.value))
		for k, v := range h.value {
			list = append(list, libpf.StringAttr(k, v.text))
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
