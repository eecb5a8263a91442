package amplify

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	bodyBytes = 2 << 20
	// slackBytes is what a component may allocate for any request without charging it.
	slackBytes = 512 << 10
	// ratio allows for garbage: memory that moved is allocated twice, and charged
	// twice only while it moves.
	ratio = 2
)

// The heap of every component grows by no more than what it charges to the ticket of
// the request, whatever the request is.
func TestComponentsChargeWhatTheyAllocate(t *testing.T) {
	requests := Requests(bodyBytes)
	subjects, err := Subjects()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range subjects {
		t.Run(s.Name, func(t *testing.T) {
			consumer, stop, err := s.Start(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			for _, r := range requests { // what is allocated once is not measured
				consume(t, consumer, r)
			}
			for _, r := range requests {
				if s.Takes(r.Signal) {
					measure(t, consumer, r)
				}
			}
		})
	}
}

func consume(t *testing.T, c pipeline.Consumer, r Request) {
	b := testkit.PooledBatch(t, r.Signal, r.Body, nil)
	defer b.Release()
	if err := c.Consume(t.Context(), b); err != nil && pipeline.Classify(err).Kind != pipeline.Permanent {
		t.Errorf("%s of %s: %v", r.Name, r.Signal, err)
	}
}

// measure compares what a request made the heap grow by with the most that was
// charged. Nothing is collected in between.
func measure(t *testing.T, c pipeline.Consumer, r Request) {
	t.Helper()
	budget := admission.New(admission.Config{Bytes: 1 << 32})
	ticket, err := budget.Acquire(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := testkit.PooledBatch(t, r.Signal, r.Body, nil)
	held := cap(b.Bytes()) + b.MergeBytes()
	if err := ticket.Reserve(held); err != nil {
		t.Fatal(err)
	}
	b.Hold(ticket)
	grown := heapGrowth(func() { err = c.Consume(t.Context(), b) })
	b.Release()
	s := budget.Stats()
	if s.Used != 0 {
		t.Errorf("%s of %s: %d bytes are still charged", r.Name, r.Signal, s.Used)
	}
	charged := s.Peak - int64(held) + int64(b.MergeBytes())
	if grown > ratio*charged+slackBytes {
		t.Errorf("%s of %s (%d bytes): the heap grew by %d bytes, %d were charged (%v)", r.Name, r.Signal, len(r.Body), grown, charged, err)
	}
}

func heapGrowth(do func()) int64 {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// Every amplifier is a request that a receiver accepts, of the size that was asked
// for, and compresses well.
func TestRequestsAreValid(t *testing.T) {
	for _, r := range Requests(64 << 10) {
		if _, err := otlp.Check(r.Signal, r.Body); err != nil {
			t.Errorf("%s of %s: %v", r.Name, r.Signal, err)
		}
		if n := len(r.Body); n < 32<<10 || n > 65<<10 {
			t.Errorf("%s of %s has %d bytes", r.Name, r.Signal, n)
		}
	}
}
