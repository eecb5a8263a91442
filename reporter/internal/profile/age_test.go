package profile_test

import (
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/internal/profile"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// A trace that is counted all the time without ever getting frames does not wait
// longer than others. What is counted while a window is written is in the next one
// already when the samples that wait join it.
func TestBusyTraceWithoutFrames(t *testing.T) {
	t.Parallel()
	store := profile.New(profile.Config{MaxBytes: 1 << 20}, time.Now())
	lost := libpf.NewTraceHash(6, 6)
	counted, origin := int64(0), samples.CPU(20)
	count := func() {
		counted++
		store.Count(lost, &samples.TraceEventMeta{Timestamp: 5, Origin: origin, NoThread: true}, 1)
	}
	count()
	const windows = 20
	written, without := int64(0), 0
	for range windows {
		out := store.Take(time.Now()).Write(profile.Options{
			MaxRequestBytes: 1 << 20,
			Resolve: func(libpf.TraceHash, bool) (libpf.Frames, bool) {
				count()
				return nil, false
			},
		}, func(q profile.Request) { written += q.Events })
		without += out.WithoutStack
	}
	if held := store.Counts().Held; held > 10 || int64(without) != written || held != counted-written {
		t.Errorf("of %d samples, some in each of %d windows, %d were written, %d without a stack, %d wait", counted, windows, written, without, held)
	}
}
