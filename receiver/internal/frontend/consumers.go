package frontend

import (
	"context"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Consumers are the consumers of a receiver, one for each signal that has a pipeline.
// They can be replaced while requests come in: a request keeps the one that it began
// with. The zero value has none. It is safe for concurrent use.
type Consumers struct {
	of [otlp.Profiles + 1]atomic.Pointer[consumer]

	mu       sync.Mutex
	replaced Ending // consumers that requests may still use
}

// consumer is a consumer with the requests that use it. The tracker is closed when the
// consumer has been replaced.
type consumer struct {
	pipeline.Consumer
	requests *InFlight
}

func newConsumer(c pipeline.Consumer) *consumer {
	if c == nil {
		return nil
	}
	return &consumer{c, NewInFlight()}
}

// Set gives a signal its first consumer. It returns false if the signal has one.
func (c *Consumers) Set(s otlp.Signal, next pipeline.Consumer) bool {
	return c.of[s].CompareAndSwap(nil, newConsumer(next))
}

// Get returns the consumer of a signal, nil if it has no pipeline.
func (c *Consumers) Get(s otlp.Signal) pipeline.Consumer {
	if now := c.of[s].Load(); now != nil {
		return now.Consumer
	}
	return nil
}

// Replace makes next the consumers of all requests that begin from now on, and reports
// whether one has changed. Signals that are not in next have no pipeline any more.
func (c *Consumers) Replace(next map[otlp.Signal]pipeline.Consumer) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range otlp.Signals() {
		if same(c.Get(s), next[s]) {
			continue
		}
		changed = true
		if old := c.of[s].Swap(newConsumer(next[s])); old != nil {
			c.replaced.Add(old.requests.Close())
		}
	}
	return changed
}

// same reports whether two consumers are the same one; false if they cannot be compared.
func same(a, b pipeline.Consumer) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return reflect.TypeOf(a).Comparable() && a == b
}

// Settle waits until no request uses a consumer that was replaced, or ctx ends.
func (c *Consumers) Settle(ctx context.Context) error { return c.replaced.Wait(ctx) }

// begin counts a request in with the consumer of a signal, nil if it has none. Pair it
// with a Leave of its requests.
func (c *Consumers) begin(s otlp.Signal) *consumer {
	for {
		now := c.of[s].Load()
		if now == nil || now.requests.Enter() {
			return now
		} // else it was replaced in between
	}
}
