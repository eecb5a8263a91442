package reporter

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// unknownField is a valid request of about n bytes without samples.
func unknownField(n int) *pipeline.Batch {
	b := binary.AppendUvarint([]byte{15<<3 | 2}, uint64(n))
	return pipeline.NewUncheckedBatch(otlp.Profiles, append(b, make([]byte, n)...), 0, nil)
}

// What is in the spool is not in memory, also not after a restart, and sending it takes no
// more than MemoryBytes. It does not run beside other tests, which share the heap.
func TestSpoolMemory(t *testing.T) {
	const requests, size = 48, 1 << 20
	dir := t.TempDir()
	down := pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { return errors.New("down") })
	start := func(to pipeline.Consumer) *OTLPReporter {
		cfg := spooling(dir)
		cfg.Consumer, cfg.MaxRequestBytes = to, 0
		r, err := NewOTLP(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := liveHeap()
	r := start(down)
	for range requests {
		r.queue.Put(delivery.Request{Batch: unknownField(size), Items: 1})
		if err := r.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.Stats(); s.SpooledBytes < requests*size || s.PendingBytes != 0 || s.Samples.Held != requests {
		t.Errorf("%+v", s)
	}
	if grown := liveHeap() - before; grown > requests*size/2 || grown > r.MemoryBytes() {
		t.Errorf("the heap has grown by %d, MemoryBytes is %d", grown, r.MemoryBytes())
	}
	if err := r.Shutdown(endedContext(t)); err != nil {
		t.Fatal(err)
	}
	before = liveHeap()
	var second *OTLPReporter
	peak := peakHeap(func() {
		second = start(pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { return nil }))
		if err := second.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}) - before
	if s := second.Stats().Samples; s.Restored != requests || s.Acknowledged != requests {
		t.Errorf("%+v", s)
	}
	if !raceDetector && peak > second.MemoryBytes() {
		t.Errorf("the heap has grown by %d, MemoryBytes is %d", peak, second.MemoryBytes())
	}
	t.Logf("the heap has grown by %d KiB while %d KiB were sent; MemoryBytes is %d KiB", peak>>10, requests*size>>10, second.MemoryBytes()>>10)
}
