package profile

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"unique"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

func never(libpf.TraceHash, bool) (libpf.Frames, bool) { return nil, false }

// Samples that wait for frames do not fill window after window: one that ends since
// it is nearly full lets nothing wait.
func TestWaitingDoesNotJam(t *testing.T) {
	t.Parallel()
	full := false
	s := New(Config{MaxBytes: 1 << 20, NearlyFull: func() { full = true }}, time.Unix(0, epoch))
	m := samples.TraceEventMeta{Timestamp: epoch, Origin: samples.CPU(20), NoThread: true}
	written := int64(0)
	for i := range uint64(200_000) {
		if s.Count(libpf.NewTraceHash(i, i), &m, 1) != Kept {
			t.Fatalf("sample %d was not taken", i)
		}
		if full {
			full = false
			s.Take(time.Unix(0, epoch+1)).Write(Options{MaxRequestBytes: 1 << 20, Resolve: never, MaxWait: time.Hour},
				func(r Request) { written += r.Events })
		}
	}
	if c := s.Counts(); written == 0 || c.Reported != written+c.Held || c.Full != 0 {
		t.Errorf("%d were written, %+v", written, c)
	}
}

// A clock that is set back does not make samples wait until it has caught up.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	s := New(Config{MaxBytes: 1 << 20}, time.Unix(0, epoch))
	m := samples.TraceEventMeta{Timestamp: epoch, Origin: samples.CPU(20), NoThread: true}
	s.Count(libpf.NewTraceHash(1, 1), &m, 1)
	o := Options{MaxRequestBytes: 1 << 20, Resolve: never, MaxWait: time.Minute}
	if out := s.Take(time.Unix(0, epoch+1)).Write(o, func(Request) {}); out.Carried != 1 {
		t.Fatalf("%+v", out)
	}
	if out := s.Take(time.Unix(0, epoch-int64(time.Hour))).Write(o, func(Request) {}); out.Carried != 0 || out.WithoutStack != 1 {
		t.Errorf("after the clock was set back: %+v", out)
	}
}

// An Origin made for each call costs room, but is one.
func TestOriginPerCall(t *testing.T) {
	t.Parallel()
	s := newStore()
	for i := range 1000 {
		m := samples.TraceEventMeta{Timestamp: epoch + int64(i), Origin: samples.CPU(20)}
		s.Event(nil, nil, &m)
	}
	metas := 0
	for i := range s.shards {
		metas += len(s.shards[i].t.meta)
	}
	requests, all, _ := write(t, s, Options{})
	if metas != 1 || all.Profiles != 1 || len(requests) != 1 {
		t.Errorf("%d metas, %d profiles, %d requests", metas, all.Profiles, len(requests))
	}
}

// What frames take that nobody else holds counts against the window, once.
func TestFramesCountAgainstTheWindow(t *testing.T) {
	t.Parallel()
	s := newStore()
	m := samples.TraceEventMeta{Timestamp: epoch, Origin: samples.CPU(20)}
	stack := func(i int) libpf.Frames {
		return libpf.Frames{unique.Make(libpf.Frame{FunctionName: fmt.Sprintf("a function with a name of its own, number %d", i)})}
	}
	report := func(i int) int {
		before := s.Bytes()
		m.TID++
		s.Event(stack(i), nil, &m)
		return s.Bytes() - before
	}
	report(0)
	if first, again := report(1), report(1); first < again+300 {
		t.Errorf("%d bytes for a frame that is new, %d for one that is not", first, again)
	}
}

// One sample with a million events in small requests is written in one go, not
// tried again whole for each request.
func TestManyEventsInSmallRequests(t *testing.T) {
	s := newStore()
	m := samples.TraceEventMeta{Timestamp: epoch, Origin: samples.CPU(20)}
	for range 200_000 {
		s.Event(nil, nil, &m)
	}
	w := s.Take(time.Unix(0, epoch+1))
	bytes, events := 0, int64(0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w.Write(Options{MaxRequestBytes: 16 << 10}, func(r Request) { bytes, events = bytes+len(r.Bytes), events+r.Events })
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; events != 200_000 || bytes > 2_000_000 || allocated > 40<<20 {
		t.Errorf("%d events in %d bytes, %d bytes allocated", events, bytes, allocated)
	}
}

// A timestamp far from the others widens the profile that it is in, and no other.
func TestOldEvent(t *testing.T) {
	t.Parallel()
	s := newStore()
	m := samples.TraceEventMeta{Timestamp: 5, Origin: samples.CPU(20), PID: 1}
	s.Event(nil, nil, &m)
	m.Timestamp, m.PID = epoch, 2
	s.Event(nil, nil, &m)
	w := s.Take(time.Unix(0, epoch+int64(time.Minute)))
	p := w.layout(&Options{})
	for _, g := range p.groups {
		old := p.resources[g.resource].whole("") == libpf.NewAttributes(libpf.IntAttr("process.pid", 1))
		if (g.start == 5) != old {
			t.Errorf("group of %q begins at %d", p.resources[g.resource].whole(""), g.start)
		}
	}
}
