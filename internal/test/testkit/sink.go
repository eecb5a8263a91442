package testkit

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// waitFor is how long Wait waits: long enough for a slow machine, since only a
// test that fails waits so long.
const waitFor = 30 * time.Second

// Received is a copy of a batch that a Sink kept.
type Received struct {
	Signal otlp.Signal
	Bytes  []byte
	Items  int
	// Client is a copy of the batch's client; the zero value if it had none.
	Client pipeline.Client
}

// Sink is a consumer that keeps a copy of every batch it takes, and refuses
// when told to. The zero value takes everything.
type Sink struct {
	// Mutates is what Capabilities says. Set it before the first batch.
	Mutates bool

	mu      sync.Mutex
	kept    []Received
	calls   int
	failing error
	next    []error
	changed signal
}

// Capabilities implements pipeline.Consumer.
func (k *Sink) Capabilities() pipeline.Capabilities {
	return pipeline.Capabilities{MutatesData: k.Mutates}
}

// Fail makes the sink answer err from now on; nil makes it take batches again.
func (k *Sink) Fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failing = err
}

// FailNext gives the answers to the next batches, one each, in order; nil takes
// the batch. They come before what Fail says.
func (k *Sink) FailNext(errs ...error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next = append(k.next, errs...)
}

// Consume implements pipeline.Consumer. A batch is kept if the answer is nil or
// a partial success.
func (k *Sink) Consume(_ context.Context, b *pipeline.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.changed.raise()
	k.calls++
	err := k.failing
	if len(k.next) > 0 {
		err, k.next = k.next[0], k.next[1:]
	}
	if err != nil && pipeline.Classify(err).Kind != pipeline.Partial {
		return err
	}
	r := Received{Signal: b.Signal(), Bytes: bytes.Clone(b.Bytes()), Items: b.Items()}
	if c := b.Client(); c != nil {
		r.Client = *c
	}
	k.kept = append(k.kept, r)
	return err
}

// Calls returns how many batches were offered, refused ones included.
func (k *Sink) Calls() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls
}

// Received returns what was kept of signal s, in order of arrival.
func (k *Sink) Received(s otlp.Signal) (of []Received) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.kept {
		if r.Signal == s {
			of = append(of, r)
		}
	}
	return of
}

// Requests returns the bytes kept of signal s, in order of arrival.
func (k *Sink) Requests(s otlp.Signal) (of [][]byte) {
	for _, r := range k.Received(s) {
		of = append(of, r.Bytes)
	}
	return of
}

// Items returns how many items of signal s were kept.
func (k *Sink) Items(s otlp.Signal) (n int) {
	for _, r := range k.Received(s) {
		n += r.Items
	}
	return n
}

// Wait waits until at least n items of signal s are kept.
func (k *Sink) Wait(t testing.TB, s otlp.Signal, n int) {
	t.Helper()
	wait(t, &k.changed, func() bool { return k.Items(s) >= n }, func() {
		t.Fatalf("the sink has %d %s, not the %d waited for", k.Items(s), s.Spec().Item, n)
	})
}

// signal wakes whoever waits for a change. The zero value is ready.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// raise tells that something has changed.
func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// next returns a channel that is closed at the next change.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

// wait returns when is holds, and calls failed if that takes too long.
func wait(t testing.TB, changed *signal, is func() bool, failed func()) {
	t.Helper()
	late := time.NewTimer(waitFor)
	defer late.Stop()
	for {
		change := changed.next() // before is, so that no change is missed
		if is() {
			return
		}
		select {
		case <-change:
		case <-late.C:
			failed()
			return
		}
	}
}
