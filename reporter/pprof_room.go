package reporter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/libpf"
	window "github.com/penstock-telemetry/penstock/reporter/internal/profile"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// RefusedError is why nothing of a profile was taken. It can be reported again.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// asRefused is err, of which nothing was taken.
func asRefused(err error) error {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return err
	}
	return refusedPprof("nothing of it was taken: %w", err)
}

func refusedPprof(format string, args ...any) error {
	return &RefusedError{fmt.Errorf("reporting a pprof profile: "+format, args...)}
}

// pprofBeginTimeout is how long a profile waits to be begun while the destination does not
// take what is there already.
const pprofBeginTimeout = 10 * time.Second

// pprofRoom makes room for the samples of one profile, so that none is dropped.
//
//	window + being written + pending ≤ limit
//
// A request is not larger than what the window counts for it, so that nothing is ever
// evicted from the queue.
type pprofRoom struct {
	r     *OTLPReporter
	limit int64
}

// roomFor returns the room for a profile, or why the profile does not fit.
func (r *OTLPReporter) roomFor(p *profile.Profile, m *PprofMeta) (pprofRoom, error) {
	largest, err := largestSample(p, m, r.base(), r.cfg.requestBytes())
	if err != nil {
		return pprofRoom{}, err
	}
	// Less than all: a resource has the host's metadata in each request, and several
	// callers may each add a sample at once.
	limit := int64(r.cfg.MaxPendingBytes)/4*3 - 4*int64(largest)
	return pprofRoom{r, max(limit, 0)}, nil
}

// begin waits for a destination that is behind, but not for long.
func (p pprofRoom) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pprofBeginTimeout)
	defer cancel()
	return p.awaitPending(ctx)
}

// add puts a sample into the window. It waits as long as there is no room.
func (p pprofRoom) add(ctx context.Context, t *samples.Trace, e *samples.TraceEventMeta) error {
	for {
		if p.r.unsentBytes() > p.limit {
			p.r.writeWindow()
			if err := p.awaitPending(ctx); err != nil {
				return err
			}
		}
		switch p.r.store.Offer(t.Frames, t.CustomLabels, e) {
		case window.Kept:
			return nil
		case window.Closed:
			return errReporterStopped
		}
		p.r.writeWindow()
	}
}

// awaitPending waits until half of the limit is free.
func (p pprofRoom) awaitPending(ctx context.Context) error {
	for {
		room, less := p.r.queue.AtMost(p.limit / 2)
		if room {
			return nil
		}
		select {
		case <-less:
		case <-p.r.stop:
			return errReporterStopped
		case <-ctx.Done():
			return fmt.Errorf("wait for the destination, which has not taken what was reported before: %w", ctx.Err())
		}
	}
}

// unsentBytes is an upper bound of what is to be sent: it is read in the order in which
// data moves on.
func (r *OTLPReporter) unsentBytes() int64 {
	n := int64(r.store.Bytes())
	n += r.windowBytes.Load()
	return n + r.queue.HeldBytes()
}

// writeWindow makes requests of the window before its time.
func (r *OTLPReporter) writeWindow() {
	before := r.windows.Load()
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.windows.Load() == before { // else another caller has
		r.write(false)
	}
}

// What a request has for a part of a pprof profile beside its texts, in bytes.
const (
	wireLocation = 48  // with its place in a stack
	wireLine     = 80  // with a function and the headers of its texts
	wireMapping  = 160 // with its attributes
	wireLabel    = 48
	wireSample   = 512 // with a Profile's and a resource's own
)

// largestSample returns an upper bound of the bytes of a request that holds only the
// largest sample. Deep stacks and samples that may need more than maxBytes are errors.
func largestSample(p *profile.Profile, m *PprofMeta, base libpf.Attributes, maxBytes int) (largest int, err error) {
	common := wireSample + 2*(len(base)+len(m.Resource)+len(m.Attributes)) + textOfPprof(p)
	sizes, most := locationSizes(p)
	for i, s := range p.Sample {
		if len(s.Location) > maxFrames {
			return 0, refusedPprof("sample %d of %d has %d frames, more than %d", i+1, len(p.Sample), len(s.Location), maxFrames)
		}
		fixed := common + labelBytes(s)
		n := fixed + most*len(s.Location)
		if n > maxBytes { // most stacks are not made of the largest frame
			n = fixed + distinctBytes(s, sizes)
		}
		if n > maxBytes {
			return 0, refusedPprof("sample %d of %d may take %d bytes, more than a request of %d (MaxRequestBytes)", i+1, len(p.Sample), n, maxBytes)
		}
		largest = max(largest, n)
	}
	return largest, nil
}

// locationSizes returns what each location takes, and the most that one does.
func locationSizes(p *profile.Profile) (sizes map[*profile.Location]int, most int) {
	sizes = make(map[*profile.Location]int, len(p.Location))
	for _, l := range p.Location {
		n := wireLocation
		if l.Mapping != nil {
			n += wireMapping + len(l.Mapping.File) + len(l.Mapping.BuildID)
		}
		for i := range l.Line {
			n += wireLine
			if f := l.Line[i].Function; f != nil {
				n += len(f.Name) + len(f.SystemName) + len(f.Filename)
			}
		}
		sizes[l] = n
		most = max(most, n)
	}
	return sizes, most
}

// distinctBytes counts each location once: a request has it once.
func distinctBytes(s *profile.Sample, sizes map[*profile.Location]int) int {
	n := 4 * len(s.Location)
	seen := make(map[*profile.Location]bool, len(s.Location))
	for _, l := range s.Location {
		if !seen[l] {
			seen[l] = true
			n += sizes[l]
		}
	}
	return n
}

func labelBytes(s *profile.Sample) (n int) {
	for key, list := range s.Label {
		n += wireLabel + len(key)
		for _, v := range list {
			n += wireLabel + len(v)
		}
	}
	for key, list := range s.NumLabel {
		n += wireLabel*(1+len(list)) + len(key)
		for _, unit := range s.NumUnit[key] {
			n += len(unit)
		}
	}
	return n
}

// textOfPprof is what stands once in a profile.
func textOfPprof(p *profile.Profile) int {
	n := len(p.DocURL) + len(p.DropFrames) + len(p.KeepFrames) + len(p.DefaultSampleType)
	for _, c := range p.Comments {
		n += wireLabel + len(c)
	}
	for _, t := range p.SampleType {
		n += len(t.Type) + len(t.Unit)
	}
	return n
}

// errPprofCut is how much of a profile was not taken.
func errPprofCut(rest, all int64, why error) error {
	return fmt.Errorf("reporting a pprof profile: the last %d of %d values were dropped: %w", rest, all, why)
}
