package loadgen

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock-telemetry/penstock/otlpclient"
)

const (
	// Latencies are kept in microseconds, up to an hour, to three digits.
	maxLatency    = time.Hour
	latencyDigits = 3
	// maxFailures bounds the kinds of failure that are told apart.
	maxFailures = 64
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, maxLatency.Microseconds(), latencyDigits)
}

// record clamps what a histogram cannot hold.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	// Within the bounds it has no error.
	_ = h.RecordValue(min(max(d.Microseconds(), 1), maxLatency.Microseconds()))
}

// tally is what came of the requests of one signal.
type tally struct {
	mu       sync.Mutex
	counts   Counts
	latency  *hdrhistogram.Histogram // of acknowledged requests, from when they were due
	delay    *hdrhistogram.Histogram // of all requests, from when they were due to the sending
	failures map[string]*Failure
}

func newTally() *tally {
	return &tally{latency: newHistogram(), delay: newHistogram(), failures: map[string]*Failure{}}
}

// outcome is one request's.
type outcome struct {
	items, bytes    int
	due, sent, done time.Time
	answer          otlpclient.Answer
	err             error
}

func (t *tally) add(o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.counts
	items := uint64(o.items)
	c.RequestsSent++
	c.ItemsSent += items
	record(t.delay, o.sent.Sub(o.due))
	if o.err != nil {
		c.RequestsFailed++
		c.ItemsFailed += items
		t.fail(o.err)
		return
	}
	record(t.latency, o.done.Sub(o.due))
	rejected := min(uint64(max(o.answer.Rejected, 0)), items)
	c.RequestsAcknowledged++
	c.ItemsAcknowledged += items - rejected
	c.ItemsRejected += rejected
	c.BytesAcknowledged += uint64(o.bytes)
	if rejected > 0 {
		c.RequestsPartial++
	}
	if o.answer.Warning != nil || rejected == 0 && o.answer.Message != "" {
		c.Warnings++
	}
}

// fail counts a failure by its status.
func (t *tally) fail(err error) {
	status, hint := statusOf(err)
	f := t.failures[status]
	if f == nil {
		if len(t.failures) == maxFailures {
			status = "other"
		}
		if f = t.failures[status]; f == nil {
			f = &Failure{Status: status, Example: err.Error()}
			t.failures[status] = f
		}
	}
	f.Requests++
	if hint {
		f.RetryHints++
	}
}

// statusOf names what the destination said, or that it said nothing, and whether
// it said when to come again.
func statusOf(err error) (status string, hint bool) {
	var e *otlpclient.Error
	switch {
	case !errors.As(err, &e):
		return "unknown", false
	case e.HTTPStatus != 0:
		return fmt.Sprintf("HTTP %d", e.HTTPStatus), e.Throttled
	}
	return e.Code.String(), e.Throttled
}

// snapshot returns a copy of the counts.
func (t *tally) snapshot() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// merge adds what o has; o is not in use any more.
func (t *tally) merge(o *tally) {
	t.counts.add(o.counts)
	t.latency.Merge(o.latency)
	t.delay.Merge(o.delay)
	for status, f := range o.failures {
		if mine := t.failures[status]; mine != nil {
			mine.Requests += f.Requests
			mine.RetryHints += f.RetryHints
			continue
		}
		own := *f
		t.failures[status] = &own
	}
}

// sorted returns the failures, the most frequent first.
func (t *tally) sorted() []Failure {
	all := make([]Failure, 0, len(t.failures))
	for _, f := range t.failures {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Status, b.Status))
	})
	return all
}
