package graph

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/obsreport"
)

// observed is what is measured of an exporter's queue.
type observed struct {
	*obsreport.Queue
	exporter string
	read     func() obsreport.QueueStats
}

// observe measures what waits for an exporter, in a queue with room for a number of
// bytes.
func (q *queue) observe(e queued, of interface{ Ledger() delivery.Ledger }, maxBytes int64) (*observed, error) {
	read := func() obsreport.QueueStats {
		l := of.Ledger()
		s := obsreport.QueueStats{Accepted: int64(l.Accepted), Delivered: int64(l.Delivered), Rejected: int64(l.Rejected), DeadLettered: int64(l.DeadLettered),
			Dropped: int64(l.Dropped), Damaged: int64(l.Damaged), Returned: int64(l.Returned), Held: int64(l.Held), HeldBytes: int64(l.HeldBytes), Durable: q.place.dir != ""}
		s.Size = map[string]int64{"requests": int64(heldRequests(e, of, &l)), "items": s.Held, "bytes": s.HeldBytes}[e.Sizer]
		s.Capacity = capacity(e, &l, q.roomFor(maxBytes))
		return s
	}
	measured, err := obsreport.NewQueue(e.id, q.pipeline.ID, q.pipeline.Signal, q.settings.OrDefaults().Meter, read)
	if err != nil {
		return nil, err
	}
	o := &observed{measured, e.id, read}
	q.observed = append(q.observed, o)
	if q.settings.MetricsLevel >= component.LevelDetailed {
		return o, measured.MeasureSizes(e.id, q.settings.OrDefaults().Meter)
	}
	return o, nil
}

// roomFor is how many bytes of requests fit into so many of the journal, going by what it
// has: it may have them compressed.
func (q *queue) roomFor(bytes int64) int64 {
	if q.journal == nil {
		return bytes
	}
	s := q.journal.Stats()
	if int64(s.Stored.Bytes) <= s.Written {
		return bytes
	}
	return int64(float64(bytes) * float64(s.Stored.Bytes) / float64(s.Written))
}

// heldRequests is how many requests are held, in units of queue_size where that is set.
func heldRequests(e queued, of any, l *delivery.Ledger) uint64 {
	if counts, ok := of.(interface{ HeldRequests() uint64 }); ok && e.QueueSize != nil {
		return counts.HeldRequests()
	}
	return l.HeldRequests
}

// capacity is the capacity of a queue in units of its sizer; 0: unknown. Where the bound
// is one of bytes alone, it is that bound at the mean size of what is held.
func capacity(e queued, l *delivery.Ledger, maxBytes int64) int64 {
	units := map[string]uint64{"requests": l.HeldRequests, "items": l.Held, "bytes": l.HeldBytes}[e.Sizer]
	switch {
	case e.QueueSize != nil:
		return *e.QueueSize
	case e.Sizer == "bytes":
		return maxBytes
	case units == 0 || l.HeldBytes == 0:
		return maxBytes / typicalBytes[e.Sizer]
	}
	return int64(float64(maxBytes) / float64(l.HeldBytes) * float64(units))
}

// typicalBytes are sizes that an empty queue supposes.
var typicalBytes = map[string]int64{"requests": 64 << 10, "items": 256}

// status returns what is shown of the queue; nothing before it is open.
func (q *queue) status() (all []component.QueueStatus) {
	if !q.opened.Load() {
		return nil
	}
	for _, o := range q.observed {
		s := o.read()
		all = append(all, component.QueueStatus{Exporter: o.exporter, Pipeline: q.pipeline.ID, Place: q.place.dir, Warning: q.place.warning,
			Accepted: s.Accepted, Delivered: s.Delivered, Rejected: s.Rejected, DeadLettered: s.DeadLettered,
			Dropped: s.Dropped, Damaged: s.Damaged, Returned: s.Returned, Held: s.Held, HeldBytes: s.HeldBytes})
	}
	return all
}
