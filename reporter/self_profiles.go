package reporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/pprof"
	"time"

	"github.com/google/pprof/profile"
)

const (
	cpuProfile = "cpu"
	// maxSelfProfileBytes bounds a profile of this process, compressed.
	maxSelfProfileBytes = 16 << 20
)

// deltaTypes are the profiles of runtime/pprof that are known, with their sample types that
// count from the start of the process: their differences are sent.
var deltaTypes = map[string][]string{
	"heap": {"alloc_objects", "alloc_space"}, "mutex": {"contentions", "delay"}, "block": {"contentions", "delay"}, "goroutine": nil,
}

// collectors are where profiles are from.
type collectors struct {
	startCPU func(io.Writer) error
	stopCPU  func()
	write    func(name string, to io.Writer) error
}

var runtimeCollectors = collectors{
	startCPU: pprof.StartCPUProfile, stopCPU: pprof.StopCPUProfile,
	write: func(name string, to io.Writer) error { return pprof.Lookup(name).WriteTo(to, 0) },
}

// limited is a buffer that keeps up to maxSelfProfileBytes.
type limited struct {
	bytes.Buffer
	full bool
}

var errSelfProfileTooLarge = fmt.Errorf("the profile has more than %d bytes", maxSelfProfileBytes)

func (l *limited) Write(p []byte) (int, error) {
	if l.full || l.Len()+len(p) > maxSelfProfileBytes {
		l.full = true
		return 0, errSelfProfileTooLarge
	}
	return l.Buffer.Write(p)
}

func (l *limited) parse() (*profile.Profile, error) {
	if l.full {
		return nil, errSelfProfileTooLarge
	}
	p, err := profile.ParseData(l.Bytes())
	if err != nil {
		return nil, fmt.Errorf("read the profile: %w", err)
	}
	return p, nil
}

// cpuWindow is a CPU profile of some time.
type cpuWindow struct {
	from *collectors // nil: it did not begin
	data limited
}

// begin returns an error if the CPU is being profiled already: a process has one CPU
// profile at a time.
func (w *cpuWindow) begin(from *collectors) error {
	if err := from.startCPU(&w.data); err != nil {
		return fmt.Errorf("start a CPU profile, which another part of this program may have: %w", err)
	}
	w.from = from
	return nil
}

// end returns nil if there is no profile.
func (w *cpuWindow) end() (*profile.Profile, error) {
	if w.from == nil {
		return nil, nil
	}
	w.from.stopCPU()
	return w.data.parse()
}

// snapshots are successive profiles of one name.
type snapshots struct {
	name   string
	from   *collectors
	before *profile.Profile // nil: none yet
	at     time.Time        // of before
}

func newSnapshots(name string, from *collectors) *snapshots {
	return &snapshots{name: name, from: from}
}

// next returns what changed since the previous call, nil at the first one.
func (s *snapshots) next(now time.Time) (*profile.Profile, error) {
	var data limited
	if err := s.from.write(s.name, &data); err != nil {
		return nil, err
	}
	current, err := data.parse()
	if err != nil {
		return nil, err
	}
	before, since := s.before, s.at
	s.before, s.at = current, now
	if before == nil {
		return nil, nil
	}
	change, err := difference(before, current, deltaTypes[s.name])
	if err != nil {
		return nil, err
	}
	change.TimeNanos, change.DurationNanos = since.UnixNano(), max(now.Sub(since), 1).Nanoseconds()
	return change, nil
}

// difference subtracts the values of some sample types. The runtime extrapolates what it
// has sampled, so that a value may become a little less: that counts as 0.
func difference(before, current *profile.Profile, types []string) (*profile.Profile, error) {
	if types == nil {
		return current.Copy(), nil
	}
	ratios, is := make([]float64, len(before.SampleType)), make([]bool, len(before.SampleType))
	for i, t := range before.SampleType {
		for _, name := range types {
			if t.Type == name {
				ratios[i], is[i] = -1, true
			}
		}
	}
	negative := before.Copy()
	if err := negative.ScaleN(ratios); err != nil {
		return nil, fmt.Errorf("subtract the previous profile: %w", err)
	}
	change, err := profile.Merge([]*profile.Profile{negative, current})
	if err != nil {
		return nil, fmt.Errorf("subtract the previous profile: %w", err)
	}
	for _, s := range change.Sample {
		for i, v := range s.Value {
			if is[i] {
				s.Value[i] = max(v, 0)
			}
		}
	}
	return change, nil
}

// report hands a profile to the reporter, which waits while the destination is behind.
func (s *Self) report(ctx context.Context, name string, p *profile.Profile) {
	err := s.reporter.ReportPprof(ctx, p, PprofMeta{})
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		err = refused.Err
	}
	if err != nil {
		s.failed(name, err)
	}
}
