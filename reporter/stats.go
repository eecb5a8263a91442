package reporter

import (
	"math"
	"sync"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/otlp"
)

// DropReason is why something was dropped.
type DropReason string

// The reasons.
const (
	// DropInvalid: ReportTraceEvent returned an error, ReportCountForTrace had a time
	// of 0, ReportMetrics lists of unequal length.
	DropInvalid DropReason = "invalid"
	// DropWindowFull: more was reported than MaxWindowBytes holds, or than there is
	// room for data points.
	DropWindowFull DropReason = "window_full"
	// DropTooLarge: a sample or data point that does not fit into MaxRequestBytes
	// alone.
	DropTooLarge DropReason = "too_large"
	// DropPendingFull: the oldest requests were evicted for newer ones, from memory or
	// from the spool.
	DropPendingFull DropReason = "pending_full"
	// DropRefused: the destination refused the request for good.
	DropRefused DropReason = "refused"
	// DropRejected: the destination took the rest of the request (partial
	// success). It says how many Profiles it rejected, not how many samples: the
	// number of samples is an estimate.
	DropRejected DropReason = "rejected"
	// DropStopped: it was reported after Stop, or there was no time to send it, or it
	// is the rest of a profile whose ReportPprof was stopped by its context.
	DropStopped DropReason = "stopped"
	// DropDamaged: the disk has altered or lost what was in the spool.
	DropDamaged DropReason = "damaged"
	// DropUnknownMetric: MetricDefinitions does not have the id.
	DropUnknownMetric DropReason = "unknown_metric"
	// DropIgnored: there are no MetricDefinitions.
	DropIgnored DropReason = "ignored"
)

// Flow is what became of everything that was reported:
//
//	Reported + Restored == Acknowledged + Held + sum(Dropped)
type Flow struct {
	// Reported counts the calls (of data points: the values).
	Reported int64
	// Restored were in the spool at Start, left by an earlier process. 0 without one.
	Restored int64
	// Acknowledged were taken by the destination.
	Acknowledged int64
	// Held are collected, or in a request that is not acknowledged yet, in memory or in
	// the spool. What is held after Shutdown is in the spool.
	Held int64
	// Dropped is by reason. Reasons that never occurred are not there.
	Dropped map[DropReason]int64
}

// Plus returns the sum of two flows.
func (f Flow) Plus(o Flow) Flow {
	sum := Flow{f.Reported + o.Reported, f.Restored + o.Restored, f.Acknowledged + o.Acknowledged, f.Held + o.Held, map[DropReason]int64{}}
	for _, of := range []map[DropReason]int64{f.Dropped, o.Dropped} {
		for why, n := range of {
			sum.Dropped[why] += n
		}
	}
	return sum
}

// Of returns the flow of a signal: Samples of profiles, Points of metrics, and
// nothing of the others.
func (s *Stats) Of(signal otlp.Signal) Flow {
	return map[otlp.Signal]Flow{otlp.Profiles: s.Samples, otlp.Metrics: s.Points}[signal]
}

// Stats is what a reporter has done since it was made.
type Stats struct {
	// Samples are calls of ReportTraceEvent and ReportCountForTrace, Points the
	// values of ReportMetrics.
	Samples, Points Flow
	// PendingBytes and PendingRequests wait in memory, to be sent or written to the spool.
	PendingBytes, PendingRequests int64
	// SpooledBytes and SpooledRequests wait in the spool, to be sent.
	SpooledBytes, SpooledRequests int64
	// Retries is how many requests were sent again.
	Retries int64
	// WithoutStack are samples that were sent without a stack: its frames were not
	// reported in time, or were evicted.
	WithoutStack int64
	// Evicted counts the entries that the caches had to give up.
	Evicted Evictions
	// CacheBytes and WindowBytes are what caches and the window take.
	CacheBytes, WindowBytes int64
}

// Evictions counts entries that were evicted for others, or were too large.
type Evictions struct {
	Traces, Frames, Executables, FallbackSymbols, HostMetadata uint64
	// Conflicts are traces with the hash of another trace, Malformed those with
	// lists of unequal length.
	Conflicts, Malformed uint64
}

// Stats returns a consistent snapshot: the equation of Flow holds.
func (r *OTLPReporter) Stats() Stats {
	r.writing.Lock()
	defer r.writing.Unlock()
	samples, points := r.account(otlp.Profiles), r.account(otlp.Metrics)
	e := r.join.Evicted()
	return Stats{
		Samples: r.samplesFlow(samples), Points: r.points.flow(points),
		PendingBytes: samples.HeldBytes + points.HeldBytes, PendingRequests: samples.HeldRequests + points.HeldRequests,
		SpooledBytes: samples.spooledBytes + points.spooledBytes, SpooledRequests: samples.spooledRequests + points.spooledRequests,
		Retries: samples.Retries + points.Retries + r.spool.Load().retried(), WithoutStack: r.withoutSt,
		Evicted:    Evictions{e.Traces, e.Frames, e.Executables, e.FallbackSymbols, r.host.evictions(), e.Conflicts, e.Malformed},
		CacheBytes: int64(r.join.Bytes()), WindowBytes: int64(r.store.Bytes()),
	}
}

// What MemoryBytes counts beside what the caches and the window say of themselves.
const (
	// idleBytes is a reporter without data: tables, goroutines, a log of events.
	idleBytes = 128 << 10
	// layoutFactor is how many times the window's entries are held while they are made
	// into requests, beside themselves; cacheDivisor: of the caches, a part of what
	// they hold then is in the requests' dictionary.
	layoutFactor = 4
	cacheDivisor = 2
	// eventBytes is what an event takes then, with what the growth of its lists leaves
	// to the collector.
	eventBytes = 96
	// pointMemory is a data point that waits, and in its request.
	pointMemory = 2*24 + 2*pointBytes
)

// MemoryBytes returns an upper bound of the memory that the reporter holds: now, and
// when it makes requests of what it has. Each kind has its bound in OTLPConfig.
func (r *OTLPReporter) MemoryBytes() int64 {
	r.writing.Lock()
	defer r.writing.Unlock()
	pending := r.queue.Stats(otlp.Profiles).HeldBytes + r.queue.Stats(otlp.Metrics).HeldBytes
	cache, log := int64(r.join.Bytes()), int64(r.store.LogBytes())
	entries := max(int64(r.store.Bytes())-log, 0)
	// Each resource has the host's metadata, in requests of which some are held.
	host := min(int64(r.store.Metas())*r.host.wireBytes(), int64(r.cfg.MaxPendingBytes)+3*int64(r.cfg.MaxRequestBytes))
	return idleBytes + r.spoolMemory() + pending + cache + cache/cacheDivisor + log + (1+layoutFactor)*entries +
		eventBytes*r.store.Counts().Held + pointMemory*r.points.held() + r.host.memoryBytes() + host
}

// LimitCache bounds the caches of stacks, symbols and executables by less than
// OTLPConfig.MaxCacheBytes, or by that again. What is above the bound is evicted.
func (r *OTLPReporter) LimitCache(maxBytes int) {
	r.join.Limit(max(min(maxBytes, r.cfg.MaxCacheBytes), minBytes))
}

func (r *OTLPReporter) samplesFlow(a account) Flow {
	invalid, cut, c := r.invalid.Load(), r.cutShort.Load(), r.store.Counts()
	f := Flow{Reported: c.Reported + invalid + cut, Restored: a.restored, Acknowledged: a.Delivered, Held: c.Held + a.Held}
	f.Dropped = drops(a, map[DropReason]int64{
		DropInvalid: invalid, DropWindowFull: c.Full, DropTooLarge: r.tooLarge, DropStopped: c.Closed + cut,
	})
	return f
}

// drops adds the reasons of the queue and the spool to others, and leaves out zeros.
func drops(a account, others map[DropReason]int64) map[DropReason]int64 {
	others[DropDamaged] += a.damaged
	others[DropPendingFull] += a.Dropped[delivery.PendingFull]
	others[DropRefused] += a.Dropped[delivery.Refused]
	others[DropRejected] += a.Dropped[delivery.Rejected]
	others[DropStopped] += a.Dropped[delivery.Stopped]
	for reason, n := range others {
		if n == 0 {
			delete(others, reason)
		}
	}
	return others
}

func (p *points) flow(a account) Flow {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Flow{
		Reported: p.reported, Restored: a.restored, Acknowledged: a.Delivered, Held: a.Held + int64(len(p.list)),
		Dropped: drops(a, map[DropReason]int64{
			DropInvalid: p.invalid, DropIgnored: p.ignored, DropUnknownMetric: p.unknown, DropWindowFull: p.full, DropTooLarge: p.tooLarge, DropStopped: p.late,
		}),
	}
}

// deltas are the counts that were returned or logged before.
type deltas struct {
	mu     sync.Mutex
	last   totals
	logged earlyDrops // belongs to the reporting goroutine
}

// totals are the counters of Metrics since the beginning.
type totals struct {
	overwrites [7]uint64
	bytes      [4]int64
}

// GetMetrics returns what happened since the last call. Overwrites are evictions
// from the caches, and samples and data points dropped for want of room.
func (r *OTLPReporter) GetMetrics() Metrics {
	r.deltas.mu.Lock()
	defer r.deltas.mu.Unlock()
	s := r.Stats()
	noRoom := func(f Flow) uint64 { return uint64(f.Dropped[DropWindowFull] + f.Dropped[DropPendingFull]) }
	now := totals{
		overwrites: [7]uint64{noRoom(s.Samples), s.Evicted.Executables, s.Evicted.Frames, s.Evicted.Traces,
			s.Evicted.HostMetadata, noRoom(s.Points), s.Evicted.FallbackSymbols},
		bytes: [4]int64{r.traffic.RPCOut.Load(), r.traffic.RPCIn.Load(), r.traffic.WireOut.Load(), r.traffic.WireIn.Load()},
	}
	last := r.deltas.last
	r.deltas.last = now
	since := func(i int) uint32 { return uint32(min(now.overwrites[i]-last.overwrites[i], math.MaxUint32)) }
	return Metrics{
		CountsForTracesOverwriteCount: since(0), ExeMetadataOverwriteCount: since(1),
		FrameMetadataOverwriteCount: since(2), FramesForTracesOverwriteCount: since(3),
		HostMetadataOverwriteCount: since(4), MetricsOverwriteCount: since(5), FallbackSymbolsOverwriteCount: since(6),
		RPCBytesOutCount: now.bytes[0] - last.bytes[0], RPCBytesInCount: now.bytes[1] - last.bytes[1],
		WireBytesOutCount: now.bytes[2] - last.bytes[2], WireBytesInCount: now.bytes[3] - last.bytes[3],
	}
}
