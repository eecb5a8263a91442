package debugexporter

import (
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

const samplingWindow = time.Second

// sampler selects the first batches of a signal in each second, and then every
// nth.
type sampler struct {
	initial, thereafter int
	now                 func() time.Time

	mu      sync.Mutex
	windows [otlp.Profiles + 1]struct {
		end  time.Time
		seen int
	}
}

func newSampler(initial, thereafter int, now func() time.Time) *sampler {
	return &sampler{initial: initial, thereafter: thereafter, now: now}
}

func (s *sampler) take(signal otlp.Signal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, now := &s.windows[signal], s.now()
	if !now.Before(w.end) {
		w.end, w.seen = now.Add(samplingWindow), 0
	}
	w.seen++
	if w.seen <= s.initial {
		return true
	}
	return s.thereafter > 0 && (w.seen-s.initial)%s.thereafter == 0
}
