package zpagesextension

import (
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/component"
)

// shortest is the minimum time for a meaningful rate.
const shortest = time.Second

// rates keeps counters from one page view to the next. All viewers share it.
type rates struct {
	mu           sync.Mutex
	base, latest component.Status
}

// against returns the snapshot to compare s with: the last one that was taken at least a
// second before, or the zero component.Status for the first page view.
func (r *rates) against(s component.Status) component.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Taken.Sub(r.latest.Taken) >= shortest {
		r.base, r.latest = r.latest, s
	}
	return r.base
}

// rate is a number of items a second; Known is false for the first page view.
type rate struct {
	PerSecond float64
	Known     bool
}

func rateOf(now, before int64, over time.Duration) rate {
	if over <= 0 {
		return rate{}
	}
	return rate{float64(max(0, now-before)) / over.Seconds(), true}
}

// over returns the time between two page views; 0 if there was none before.
func over(before, now component.Status) time.Duration {
	if before.Taken.IsZero() {
		return 0
	}
	return now.Taken.Sub(before.Taken)
}

type receivedRow struct {
	component.ReceiverCounts
	AcceptedRate, RefusedRate, FailedRate rate
}

func receivedRows(before, now component.Status) []receivedRow {
	type key struct{ receiver, transport, signal string }
	old := map[key]component.ReceiverCounts{}
	for _, r := range before.Received {
		old[key{r.Receiver, r.Transport, r.Signal}] = r
	}
	var rows []receivedRow
	d := over(before, now)
	for _, r := range now.Received {
		o := old[key{r.Receiver, r.Transport, r.Signal}]
		rows = append(rows, receivedRow{r, rateOf(r.Accepted, o.Accepted, d), rateOf(r.Refused, o.Refused, d), rateOf(r.Failed, o.Failed, d)})
	}
	return rows
}

type sentRow struct {
	component.ExporterCounts
	SentRate, FailedRate rate
}

func sentRows(before, now component.Status) []sentRow {
	type key struct{ exporter, signal string }
	old := map[key]component.ExporterCounts{}
	for _, s := range before.Sent {
		old[key{s.Exporter, s.Signal}] = s
	}
	var rows []sentRow
	d := over(before, now)
	for _, s := range now.Sent {
		o := old[key{s.Exporter, s.Signal}]
		rows = append(rows, sentRow{s, rateOf(s.Delivered, o.Delivered, d), rateOf(s.Failed, o.Failed, d)})
	}
	return rows
}
