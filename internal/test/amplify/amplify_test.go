package amplify

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// The heap of every component grows by no more than what it charges to the ticket of
// the request, whatever the request is. Nothing is collected in between.
func TestComponentsChargeWhatTheyAllocate(t *testing.T) {
	requests := Requests(2 << 20)
	subjects, err := Subjects()
	if err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, s := range subjects {
		t.Run(s.Name, func(t *testing.T) {
			consumer, stop, err := s.Start(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			for warm := range 2 { // what is allocated once is not measured
				for _, r := range requests {
					if s.Takes(r.Signal) {
						runtime.GC()
						weigh(t, consumer, r, warm == 0)
					}
				}
			}
		})
	}
}

func weigh(t *testing.T, c pipeline.Consumer, r Request, warmUp bool) {
	t.Helper()
	w, ok := Weigh(t.Context(), c, r.Signal, r.Body)
	final := map[pipeline.Kind]bool{pipeline.Permanent: true, pipeline.Partial: true}
	switch {
	case !ok:
		t.Errorf("%s of %s is not valid", r.Name, r.Signal)
	case w.Err != nil && !final[pipeline.Classify(w.Err).Kind]:
		t.Errorf("%s of %s: %v", r.Name, r.Signal, w.Err)
	case w.Left != 0:
		t.Errorf("%s of %s: %d bytes are still charged", r.Name, r.Signal, w.Left)
	case w.Excess() > 0 && !warmUp:
		t.Errorf("%s of %s (%d bytes): %d bytes were allocated, %d were charged (%v)", r.Name, r.Signal, len(r.Body), w.Allocated, w.Charged, w.Err)
	}
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
