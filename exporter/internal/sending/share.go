package sending

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
)

// share bounds the bytes of requests that one destination has, so that one which does
// not answer leaves room for the others: at most twice the bytes of the memory budget
// that are still free, like the share of a sender (package admission). A single exporter
// gets two thirds of the budget. An exporter that holds nothing may take any request.
//
// A sender has no larger share, so requests of a single sender are never refused here.
type share struct {
	budget *admission.Budget // nil: no bound
	held   atomic.Int64      // bytes of requests, until the transport is done with them
}

// take adds n bytes, which the budget counts as used already. After an error nothing was
// added.
func (s *share) take(n int64) error {
	held := s.held.Add(n)
	if held == n || s.budget == nil {
		return nil
	}
	stats := s.budget.Stats()
	if free := max(stats.Limit-stats.Used, 0); stats.Limit > 0 && held > 2*free {
		s.held.Add(-n)
		return fmt.Errorf("over this destination's share of the memory budget: %d bytes wait for its answers, %d of %d bytes are in use",
			held-n, stats.Used, stats.Limit)
	}
	return nil
}

// giveBack takes n bytes off.
func (s *share) giveBack(n int64) { s.held.Add(-n) }

// retryAfter varies at random so that refused clients do not all return at the same
// time.
func retryAfter() time.Duration {
	return time.Duration(10+rand.IntN(11)) * 100 * time.Millisecond
}
