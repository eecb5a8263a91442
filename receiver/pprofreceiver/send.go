package pprofreceiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter"
)

// A Sink takes profiles: reporter.OTLPReporter is one. It does not keep p. It may wait
// for room until ctx ends. A *reporter.RefusedError says that it has taken nothing; with
// other errors it may have taken a part, and the profile is not offered again.
type Sink interface {
	ReportPprof(ctx context.Context, p *profile.Profile, m reporter.PprofMeta) error
}

// maxSkew is the maximum difference between the clocks of a target and of this
// machine for its times to be used.
const maxSkew = time.Hour

// An answer is a profile that has come.
type answer struct {
	p *profile.Profile
	// resource is the target's, attributes are on each sample.
	resource, attributes libpf.Attributes
	// named is mutex or block, which have the same sample types.
	named string
	// asked and done are when the fetch began and ended, by our clock.
	asked, done time.Time
}

// when is the time of the profile: its own, by the target's clock, or else that
// of the fetch.
func (a *answer) when() time.Time {
	if own := time.Unix(0, a.p.TimeNanos); a.p.TimeNanos > 0 && own.Sub(a.asked).Abs() <= maxSkew {
		return own
	}
	return a.asked
}

// lasted is how long the profile measured, if it says so and that may be true.
func (a *answer) lasted() time.Duration {
	took := a.done.Sub(a.asked)
	if own := time.Duration(a.p.DurationNanos); own > 0 && own <= took+maxSkew {
		return own
	}
	return max(took, 1)
}

// counts is how many numbers a profile held, by what became of them.
type counts struct{ taken, refused int }

// deliver reports what a fetch brought: what is there now and what a window has as it
// is, what accumulates as the difference to the fetch before.
func (e *Engine) deliver(j *jobState, a *answer) (n counts, err error) {
	asIs, cumulative := j.columns(a.p)
	if len(asIs) > 0 {
		err = e.hand(&n, a, asIs, a.p.Sample, a.when(), a.lasted())
	}
	if len(cumulative) > 0 && err == nil {
		err = e.deliverSince(&n, j, a, cumulative)
	}
	return n, err
}

// columns returns the indices of the sample types that a job reports.
func (j *job) columns(p *profile.Profile) (asIs, cumulative []int) {
	for i, t := range p.SampleType {
		switch counts := accumulates(t.Type); {
		case counts && j.take == takeGauges, !counts && j.take == takeCumulative:
		case j.changes && momentary(t.Type): // how much more or less, not how much
		case counts && !j.window:
			cumulative = append(cumulative, i)
		default:
			asIs = append(asIs, i)
		}
	}
	return asIs, cumulative
}

// deliverSince reports what accumulated since the fetch before.
func (e *Engine) deliverSince(n *counts, j *jobState, a *answer, cumulative []int) error {
	r := read(a.p, cumulative, j.known()...)
	if r.overflow {
		return &failure{causeNotPprof, fmt.Errorf("%s counts below 0, or beyond the largest number", a.p.SampleType[cumulative[0]].Type)}
	}
	if len(r.now.stacks) == 0 && j.before != nil {
		return nil // a profile without samples decides nothing
	}
	r.now.when, r.now.asked = a.when(), a.asked
	before := r.predecessor(j.before, j.others)
	// Without a baseline that there was once counting starts again: there was no room.
	report := e.cfg.CountFrom == FromProcessStart && !j.read || j.before != nil
	var err error
	if report {
		start, lasted := r.window(cmp.Or(before, j.before), a)
		err = e.hand(n, a, cumulative, r.since(before), start, lasted)
	}
	if refused := (*reporter.RefusedError)(nil); errors.As(err, &refused) {
		return err // the baseline stays, so that the next difference has all of it
	}
	j.read = true
	e.noteProcess(j, before)
	if before != nil {
		r.now.keepHighest(before)
	}
	room := e.remember(j, before, r.now)
	e.keepJob(j)
	if err != nil {
		return err
	}
	return room
}

// window is the time that a difference is about: since the fetch before.
func (r *reading) window(before *baseline, a *answer) (start time.Time, lasted time.Duration) {
	if before == nil {
		return a.when(), a.lasted()
	}
	start = before.when
	if lasted = r.now.when.Sub(start); lasted <= 0 { // the target's clock was set back
		lasted = max(a.asked.Sub(before.asked), 1)
		start = r.now.when.Add(-lasted)
	}
	return start, lasted
}

// processesEvery is how often restarts are logged at most, for each target.
const processesEvery = time.Minute

// noteProcess counts and logs that another process has answered than the one before.
// before is the baseline of the one that has.
func (e *Engine) noteProcess(j *jobState, before *baseline) {
	count, limit, text := &e.restarts, &j.of.restarted, "a pprof target was restarted: what it has counted since is reported (logged at most once in "
	switch {
	case j.before == nil || j.before == before:
		return
	case before != nil:
		count, limit, text = &e.switches, &j.of.switched, "several processes answer as one pprof target, each is compared with itself: expected an address for each (logged at most once in "
	}
	count.Add(1)
	if before == nil {
		j.of.health.restarted()
	}
	if times, ok := limit.Allow(processesEvery); ok {
		e.set.Logger.Info(text+processesEvery.String()+")",
			slog.String("target", j.of.name), slog.String("profile", j.kind), slog.Int64("times", times))
	}
}

// remember makes b the baseline of a job instead of before, which it goes on from, if
// there is room for it. Those of other processes have what room is left.
func (e *Engine) remember(j *jobState, before, b *baseline) error {
	e.remembering.Lock()
	defer e.remembering.Unlock()
	old := j.baselineBytes()
	others := j.known()
	others = slices.DeleteFunc(others, func(o *baseline) bool {
		o.idle++
		return o == before || o.idle > maxIdle
	})
	slices.SortFunc(others, func(x, y *baseline) int { return cmp.Compare(x.idle, y.idle) })
	others = others[:min(len(others), maxOthers)]
	b.idle = 0
	j.before, j.others = b, others
	err := e.roomToRemember(j.baselineBytes() - old)
	if err != nil && len(others) > 0 {
		j.others = nil
		err = e.roomToRemember(j.baselineBytes() - old)
	}
	if err != nil {
		j.before, j.others = nil, nil
	}
	change := j.baselineBytes() - old
	e.baselineBytes.Add(int64(change))
	if change < 0 {
		e.baselines.Settle()
	}
	return err
}

// baselineBytes is what a job remembers.
func (j *jobState) baselineBytes() (n int) {
	for _, b := range j.known() {
		n += b.bytes
	}
	return n
}

// roomToRemember makes room for n bytes more of baselines.
func (e *Engine) roomToRemember(n int) error {
	const lost = "the profile before cannot be kept, and what accumulates is not reported"
	if all := e.baselineBytes.Load() + int64(n); n > 0 && all > int64(e.cfg.MaxBaselineBytes) {
		return &failure{causeBaseline, fmt.Errorf("%s: all targets' would take %d bytes, and may take %d (max_baseline_bytes)", lost, all, e.cfg.MaxBaselineBytes)}
	}
	// The wait has the bound of the budget.
	if err := e.baselines.Reserve(context.Background(), max(n, 0)); err != nil {
		return &failure{causeMemory, fmt.Errorf("%s: %w", lost, err)}
	}
	return nil
}

// hand gives the sink the samples that have a number in columns.
func (e *Engine) hand(n *counts, a *answer, columns []int, samples []*profile.Sample, start time.Time, lasted time.Duration) error {
	p := a.p
	var kept []*profile.Sample
	values, stackless := 0, 0
	for _, s := range samples {
		has := 0
		for _, c := range columns {
			if s.Value[c] != 0 {
				has++
			}
		}
		if has > 0 {
			kept = append(kept, s)
			values += has
			if len(s.Location) == 0 {
				stackless += has
			}
		}
	}
	if len(kept) == 0 {
		return nil
	}
	types := make([]string, len(columns))
	for i, c := range columns {
		types[i] = p.SampleType[c].Type
	}
	// Times stand in the profile too, since those win over the PprofMeta's.
	out := &profile.Profile{
		SampleType: p.SampleType, DefaultSampleType: p.DefaultSampleType, Sample: kept,
		Mapping: p.Mapping, Location: p.Location, Function: p.Function,
		Comments: p.Comments, DocURL: p.DocURL, DropFrames: p.DropFrames, KeepFrames: p.KeepFrames,
		TimeNanos: start.UnixNano(), DurationNanos: int64(lasted), PeriodType: periodTypeOf(a.named, p), Period: p.Period,
	}
	err := e.sink.ReportPprof(e.handing, out, reporter.PprofMeta{
		Resource: withExecutable(a.resource, p), Types: types, Start: start, Duration: lasted, Attributes: a.attributes,
	})
	if err != nil {
		n.refused += values
		return &failure{causeSink, fmt.Errorf("report the profile: %w", err)}
	}
	n.taken += values
	e.withoutStack.Add(int64(stackless))
	return nil
}

// withExecutable adds what the profile itself says about the process, unless the
// configuration knows better.
func withExecutable(resource libpf.Attributes, p *profile.Profile) libpf.Attributes {
	if len(p.Mapping) == 0 || !strings.HasPrefix(p.Mapping[0].File, "/") {
		return resource
	}
	file := p.Mapping[0].File
	known := libpf.NewAttributes(libpf.StringAttr("process.executable.path", file),
		libpf.StringAttr("process.executable.name", path.Base(file)))
	var own []libpf.Attribute
	for a := range resource.All() {
		own = append(own, a)
	}
	return known.With(own...)
}
