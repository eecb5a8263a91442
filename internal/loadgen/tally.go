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
	// Latencies are recorded in microseconds, up to an hour, with three digits.
	maxLatency    = time.Hour
	latencyDigits = 3
	// maxFailures bounds the number of statuses that are counted separately.
	maxFailures = 64
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, maxLatency.Microseconds(), latencyDigits)
}

// record records d, clamped to the range of the histogram.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	// Within the range there is no error.
	_ = h.RecordValue(min(max(d.Microseconds(), 1), maxLatency.Microseconds()))
}

// tally counts the outcomes of the requests of one signal.
type tally struct {
	mu       sync.Mutex
	counts   Counts
	latency  *hdrhistogram.Histogram // of acknowledged requests, from the time they were due
	delay    *hdrhistogram.Histogram // of all requests, from the time they were due to the time of sending
	failures map[string]*Failure
}

func newTally() *tally {
	return &tally{latency: newHistogram(), delay: newHistogram(), failures: map[string]*Failure{}}
}

// outcome is the outcome of one request.
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

// statusOf returns the name of the status of a failed request, and whether the server
// said when to retry.
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

// merge adds o, which must no longer be in use.
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
