package testkit

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Received is a copy of a batch that a Sink kept.
type Received struct {
	Signal otlp.Signal
	Bytes  []byte
	Items  int
	// Client is a copy of the batch's client; the zero value if it had none.
	Client pipeline.Client
	// Batch is the batch itself. The sink does not retain it, so that it is good
	// only for comparing with one that the test holds.
	Batch *pipeline.Batch
}

// Sink is the consumer at the end of a test's pipeline. It keeps a copy of every
// batch it accepts, and answers as the test says. The zero value accepts
// everything. It is safe for concurrent use.
type Sink struct {
	// Mutates is what Capabilities says. Set it before the first batch.
	Mutates bool
	// CountOnly keeps no copies, for benchmarks and tests under load: Consume does
	// not allocate then, and Received is empty. Set it before the first batch.
	CountOnly bool

	mu      sync.Mutex
	kept    []Received
	items   map[otlp.Signal]int
	calls   int
	next    []error
	respond func(context.Context, *pipeline.Batch) error
	changed signal
}

// Capabilities implements pipeline.Consumer.
func (k *Sink) Capabilities() pipeline.Capabilities {
	return pipeline.Capabilities{MutatesData: k.Mutates}
}

// Respond makes f answer from now on; nil accepts everything. Several goroutines
// may call f at a time. f may block, and may retain the batch.
func (k *Sink) Respond(f func(context.Context, *pipeline.Batch) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.respond = f
}

// Fail makes the sink answer err from now on; nil accepts everything.
func (k *Sink) Fail(err error) {
	k.Respond(func(context.Context, *pipeline.Batch) error { return err })
}

// FailNext gives the answers to the next batches, one each, in order; nil accepts
// the batch. They come before what Respond or Fail says.
func (k *Sink) FailNext(errs ...error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next = append(k.next, errs...)
}

// Consume implements pipeline.Consumer. A batch is kept if the answer is nil or
// a partial success.
func (k *Sink) Consume(ctx context.Context, b *pipeline.Batch) error {
	answer, err := k.arrive()
	if answer != nil {
		err = answer(ctx, b)
	}
	if err != nil && pipeline.Classify(err).Kind != pipeline.Partial {
		return err
	}
	k.keep(b)
	return err
}

// arrive counts a batch and returns its answer, or the function that gives it.
func (k *Sink) arrive() (answer func(context.Context, *pipeline.Batch) error, err error) {
	defer k.changed.raise()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	if len(k.next) > 0 {
		err, k.next = k.next[0], k.next[1:]
		return nil, err
	}
	return k.respond, nil
}

func (k *Sink) keep(b *pipeline.Batch) {
	defer k.changed.raise()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.items == nil {
		k.items = map[otlp.Signal]int{}
	}
	k.items[b.Signal()] += b.Items()
	if k.CountOnly {
		return
	}
	r := Received{Signal: b.Signal(), Bytes: bytes.Clone(b.Bytes()), Items: b.Items(), Batch: b}
	if c := b.Client(); c != nil {
		r.Client = *c
	}
	k.kept = append(k.kept, r)
}

// Calls returns how many batches were offered, refused and unanswered ones
// included.
func (k *Sink) Calls() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls
}

// All returns what was kept, in the order of the answers.
func (k *Sink) All() []Received {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.kept)
}

// Reset forgets all batches, and returns what was kept of them.
func (k *Sink) Reset() []Received {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := k.kept
	k.kept, k.items, k.calls = nil, nil, 0
	return kept
}

// Received returns what was kept of signal s, in the order of the answers.
func (k *Sink) Received(s otlp.Signal) (of []Received) {
	for _, r := range k.All() {
		if r.Signal == s {
			of = append(of, r)
		}
	}
	return of
}

// Requests returns the bytes kept of signal s, in the order of the answers.
func (k *Sink) Requests(s otlp.Signal) (of [][]byte) {
	for _, r := range k.Received(s) {
		of = append(of, r.Bytes)
	}
	return of
}

// Items returns how many items of signal s are in the batches accepted.
func (k *Sink) Items(s otlp.Signal) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.items[s]
}

// Wait waits until at least n items of signal s are accepted.
func (k *Sink) Wait(t testing.TB, s otlp.Signal, n int) {
	t.Helper()
	wait(t, &k.changed, func() bool { return k.Items(s) >= n }, func() {
		t.Fatalf("the sink has %d %s, not the %d waited for", k.Items(s), s.Spec().Item, n)
	})
}

// WaitCalls waits until at least n batches were offered, answered or not.
func (k *Sink) WaitCalls(t testing.TB, n int) {
	t.Helper()
	wait(t, &k.changed, func() bool { return k.Calls() >= n }, func() {
		t.Fatalf("%d batches were offered to the sink, not the %d waited for", k.Calls(), n)
	})
}
