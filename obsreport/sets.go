package obsreport

import (
	"maps"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// maxSets is the maximum number of sets of attributes of the histograms of a server or
// client. One normally has some dozens; beyond the maximum, calls are counted in one set.
const maxSets = 256

// sets has the attributes of histograms by a key with a bounded number of values. They
// are created on first use.
type sets[K comparable] struct {
	made atomic.Pointer[map[K][]metric.RecordOption] // copied when one is added
	mu   sync.Mutex                                  // held to add one
	over []metric.RecordOption                       // of the calls beyond maxSets
}

func (c *sets[K]) len() int {
	if made := c.made.Load(); made != nil {
		return len(*made)
	}
	return 0
}

// get returns the set of k, made with attributes. common are attributes that the set for
// calls beyond the maximum has, too.
func (c *sets[K]) get(k K, attributes func(K) []attribute.KeyValue, common ...attribute.KeyValue) []metric.RecordOption {
	if made := c.made.Load(); made != nil {
		if set, ok := (*made)[k]; ok {
			return set
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	made := map[K][]metric.RecordOption{}
	if old := c.made.Load(); old != nil {
		if set, ok := (*old)[k]; ok {
			return set
		}
		if len(*old) >= maxSets-1 {
			return c.overflow(common)
		}
		made = maps.Clone(*old)
	}
	set := recordOptions(attributes(k)...)
	made[k] = set
	c.made.Store(&made)
	return set
}

func (c *sets[K]) overflow(common []attribute.KeyValue) []metric.RecordOption {
	if c.over == nil {
		c.over = recordOptions(with(common, attribute.Bool("otel.metric.overflow", true))...) // the name that the SDK uses
	}
	return c.over
}

func recordOptions(attributes ...attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attributes...))}
}
