package reporter

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

var spoolDirs atomic.Int64

var spoolSeeds = flag.Int("seeds", 10, "lives of TestSpoolCrashes, for each mode of forgetting")

// diskBytes is a disk on which the reserve of the journal is free.
const diskBytes = journal.DefaultReserveBytes + 64<<20

// mountSpool makes a spool on a disk in memory.
func mountSpool(t testing.TB, profiles *vfs.Mem) (dir string, unmount func()) {
	dir = fmt.Sprintf("/spool-test/%d", spoolDirs.Add(1))
	un := []func(){vfs.Mount(filepath.Join(dir, "profiles"), profiles), vfs.Mount(filepath.Join(dir, "metrics"), vfs.NewMem(diskBytes))}
	return dir, func() {
		for _, u := range un {
			u()
		}
	}
}

// spooling is quickOTLP with a spool.
func spooling(dir string) OTLPConfig {
	cfg := quickOTLP
	cfg.SpoolDir = dir
	return cfg
}

// checkRest compares the accounts with what is on disk, when nothing is reported.
func (g *otlpRig) checkRest() Stats {
	g.t.Helper()
	s := g.observe()
	onDisk := int64(0)
	for _, p := range g.spool.Load().parts {
		l := p.destination.Ledger()
		onDisk += int64(l.Held)
		if sum := l.Delivered + l.Rejected + l.DeadLettered + l.Dropped + l.Damaged + l.Held; sum != l.Accepted {
			g.t.Errorf("the ledger does not balance: %+v", l)
		}
	}
	if held := s.Samples.Held + s.Points.Held; held != onDisk || s.PendingRequests != 0 {
		g.t.Errorf("%d are held, %d are on disk: %+v", held, onDisk, s)
	}
	return s
}

// With a spool everything is acknowledged, held, or dropped for a reason, too.
func TestSpoolConservation(t *testing.T) {
	t.Parallel()
	first := func(n int, a testkit.Answer) func(*testkit.Backend) {
		return func(b *testkit.Backend) {
			for range n {
				b.Script(a)
			}
		}
	}
	for _, c := range []struct {
		name      string
		http      bool
		answers   func(*testkit.Backend)
		moreTaken bool
		retries   bool
		dropped   []DropReason
	}{
		{name: "takes all"},
		{name: "takes all over http", http: true},
		{name: "slow", answers: first(5, testkit.Answer{Delay: 20 * time.Millisecond})},
		{name: "unavailable", answers: first(3, testkit.Answer{Code: codes.Unavailable}), retries: true},
		{name: "hangs up", answers: first(3, testkit.Answer{HangUp: true}), moreTaken: true, retries: true},
		{name: "refuses the credentials for a while", answers: first(3, testkit.Answer{Code: codes.Unauthenticated})},
		{name: "does not know profiles for a while", answers: first(3, testkit.Answer{Code: codes.Unimplemented})},
		{name: "refuses everything", answers: func(b *testkit.Backend) {
			b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.InvalidArgument} })
		}, dropped: []DropReason{DropRefused}},
		{name: "rejects a part", answers: func(b *testkit.Backend) {
			b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Rejected: 1, Message: "too many"} })
		}, dropped: []DropReason{DropRejected}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := testkit.NewBackend(t, testkit.BackendConfig{})
			if c.answers != nil {
				c.answers(b)
			}
			dir, unmount := mountSpool(t, vfs.NewMem(diskBytes))
			defer unmount()
			cfg := spooling(dir)
			cfg.Endpoint, cfg.Insecure = b.GRPCEndpoint(), true
			if c.http {
				cfg.Endpoint, cfg.Insecure = b.HTTPEndpoint(), false
			}
			g := newOTLPRig(t, cfg)
			g.moreTaken = c.moreTaken
			g.toBackend(b, func(testkit.Answer) bool { return false })
			if err := g.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.watch()
			g.load(120, nil)
			if err := g.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			g.unwatch()
			s := g.checkRest()
			if s.Samples.Held != 0 || s.SpooledBytes != 0 || s.SpooledRequests != 0 || s.Samples.Restored != 0 {
				t.Errorf("something is held: %+v", s)
			}
			onlyDropped(t, s.Samples, c.dropped...)
			if (s.Retries > 0) != c.retries {
				t.Errorf("%d retries", s.Retries)
			}
			if c.dropped == nil {
				if _, sum := g.end(); int64(len(sum.events)) != g.made.Load()-g.invalid.Load() {
					t.Errorf("%d different samples arrived of %d", len(sum.events), g.made.Load()-g.invalid.Load())
				}
			}
		})
	}
}

// What cannot be sent stays in the spool, is not dropped, and not held in memory. The next
// reporter sends it as it was, before what is reported to it.
func TestSpoolOverRestart(t *testing.T) {
	t.Parallel()
	for _, references := range []bool{false, true} {
		t.Run(fmt.Sprint("string references ", references), func(t *testing.T) {
			t.Parallel()
			spoolOverRestart(t, references)
		})
	}
}

func spoolOverRestart(t *testing.T, references bool) {
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	b.Stop()
	dir, unmount := mountSpool(t, vfs.NewMem(diskBytes))
	defer unmount()
	cfg := spooling(dir)
	cfg.Endpoint, cfg.Insecure, cfg.StopTimeout = b.GRPCEndpoint(), true, 20*time.Millisecond
	cfg.MetricDefinitions = map[uint32]MetricDefinition{1: {Name: "a"}}
	cfg.Resource = libpf.NewAttributes(libpf.StringAttr("life", "first"))
	cfg.StringReferences = references
	cfg.ReportInterval = time.Hour // nothing is added after Sync
	first := newOTLPRig(t, cfg)
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.load(50, nil)
	first.ReportMetrics(loadStart, []uint32{1}, []int64{7})
	if err := first.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := first.Stats(); s.PendingBytes != 0 || s.SpooledBytes == 0 || s.SpooledRequests < 2 {
		t.Errorf("after Sync: %+v", s)
	}
	first.load(50, nil)
	if err := first.Shutdown(endedContext(t)); err != nil {
		t.Errorf("nothing is lost, and Shutdown returns %v", err)
	}
	s := first.checkRest()
	reported := first.made.Load() - first.invalid.Load()
	if s.Samples.Held != reported || s.Points.Held != 1 || s.Samples.Dropped[DropStopped] != 0 {
		t.Errorf("%d samples were reported: %+v", reported, s)
	}
	if !strings.Contains(first.log.String(), "stay in the spool") {
		t.Errorf("what stays was not told:\n%s", first.log)
	}

	cfg.Resource = libpf.NewAttributes(libpf.StringAttr("life", "second"))
	cfg.StopTimeout, cfg.ReportInterval = 20*time.Second, quickOTLP.ReportInterval
	second := newOTLPRig(t, cfg)
	second.toBackend(b, nil)
	if err := second.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := second.Stats(); s.Samples.Restored != reported || s.Points.Restored != 1 || s.Samples.Held != reported {
		t.Errorf("after the start: %+v", s)
	}
	second.begun.Add(1)
	if err := second.ReportTraceEvent(&samples.Trace{Frames: loadStack(1)}, &samples.TraceEventMeta{Timestamp: 1, Origin: loadCPU}); err != nil {
		t.Fatal(err)
	}
	second.made.Add(1)
	b.Start(t)
	if err := second.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s = second.checkRest()
	if s.Samples.Acknowledged != reported+1 || s.Points.Acknowledged != 1 || s.Samples.Held != 0 {
		t.Errorf("at the end: %+v", s)
	}
	sum := second.took()
	if int64(len(sum.events)) != reported+1 || sum.taken != reported+1 {
		t.Errorf("%d samples arrived, %d of them different, of %d", sum.taken, len(sum.events), reported+1)
	}
	if got := len(b.Requests(otlp.Metrics)); got != 1 {
		t.Errorf("%d requests of metrics arrived", got)
	}
	seen := map[bool]int{}
	for _, request := range b.Requests(otlp.Profiles) {
		for _, sample := range testkit.ProfileSamples(t, request) {
			isSecond := strings.Contains(sample.Resource, "second")
			if isSecond == strings.Contains(sample.Resource, "first") {
				t.Fatalf("the resource is %q", sample.Resource)
			}
			if seen[isSecond]++; !isSecond && seen[true] > 0 {
				t.Fatal("a sample of the first process came after one of the second")
			}
		}
	}
	if seen[true] != 1 || seen[false] == 0 {
		t.Errorf("samples of the first and the second process: %v", seen)
	}
}

// life is the destination of a process that a crash ends.
type life struct {
	testkit.Sink
	mu     sync.Mutex
	dead   bool
	down   bool
	events map[uint64]int
	last   []uint64 // events of the request that came last
	t      *testing.T
	synced []uint64 // events that Sync has answered for
}

func (l *life) Consume(_ context.Context, b *pipeline.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead || l.down {
		return errors.New("down")
	}
	l.last = eventTimes(l.t, b.Bytes())
	for _, at := range l.last {
		l.events[at]++
	}
	return nil
}

func (l *life) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// A machine that loses its power at any operation of its disk, or a process that is
// killed there, loses nothing that was in the spool. What a kill repeats is one request.
func TestSpoolCrashes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(*spoolSeeds) {
		for mode := range vfs.Modes {
			t.Run(fmt.Sprint(mode, " ", seed), func(t *testing.T) {
				t.Parallel()
				spoolCrash(t, mode, rand.New(rand.NewPCG(seed, uint64(mode))))
			})
		}
	}
}

func spoolCrash(t *testing.T, mode vfs.Mode, rng *rand.Rand) {
	disk, to := vfs.NewMem(diskBytes), &life{t: t, events: map[uint64]int{}}
	next := uint64(0)
	var must, inFlight []uint64
	again := map[uint64]bool{} // what may arrive again
	for lives := range 3 {
		dir, unmount := mountSpool(t, disk)
		cfg := spooling(dir)
		cfg.Consumer, cfg.ReportInterval = to, time.Hour
		cfg.SpoolBytes = minSpoolRequests * minBytes // small segments, of which there are several
		last := lives == 2
		to.set(func() { to.dead, to.down = false, !last && rng.IntN(3) == 0 })
		image, crashed := disk, make(chan struct{})
		if !last {
			at, n := int64(1+rng.IntN(50)), atomic.Int64{}
			disk.After(func(op vfs.Op) {
				if !op.Kind.Changes() || n.Add(1) != at {
					return
				}
				to.set(func() {
					image, must, inFlight = disk.Crash(mode, rng), slices.Clone(to.synced), slices.Clone(to.last)
					to.dead = true
				})
				close(crashed)
			})
		}
		r, err := NewOTLP(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatalf("life %d: %v", lives, err)
		}
		checkFlow(t, "samples", r.Stats().Samples)
		for alive := !last; alive; {
			select {
			case <-crashed:
				alive = false
				continue
			default:
			}
			first := next + 1
			for range 3 {
				next++
				meta := &samples.TraceEventMeta{Timestamp: int64(next), Origin: loadCPU}
				if err := r.ReportTraceEvent(&samples.Trace{Frames: loadStack(int(next % 5))}, meta); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			to.set(func() { to.synced = append(to.synced, first, first+1, first+2) })
		}
		ctx := t.Context()
		if !last {
			ctx = endedContext(t)
		}
		if err := r.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		checkFlow(t, "samples", r.Stats().Samples)
		unmount()
		disk = image
		to.set(func() { to.synced = must })
		for _, at := range inFlight {
			again[at] = true
		}
	}
	for _, at := range must {
		if to.events[at] == 0 {
			t.Fatalf("event %d of %d was in the spool and is lost", at, next)
		}
	}
	for at, n := range to.events {
		if mode == vfs.KeepAll && n > 1 && !again[at] {
			t.Errorf("event %d arrived %d times, and was not in flight", at, n)
		}
	}
}

// A folder has one process at a time; the error names it. After the end of the first the
// second can start.
func TestSpoolIsLocked(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "spool")
	cfg := spooling(dir)
	cfg.Consumer = &testkit.Sink{}
	first, second := newOTLPRig(t, cfg), newOTLPRig(t, cfg)
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := second.Start(t.Context())
	if !errors.Is(err, journal.ErrLocked) || !strings.Contains(err.Error(), "open the spool "+dir) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("the second: %v", err)
	}
	for _, name := range []string{"", "profiles", "metrics"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%q: %v, %v", name, info.Mode(), err)
		}
	}
	if err := first.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Start(t.Context()); err != nil {
		t.Errorf("the second, after the first has ended: %v", err)
	}
	if _, err := StartOTLP(t.Context(), &Config{CollAgentAddr: "localhost:1", Times: quickTimes(), DisableTLS: true, SpoolDir: dir}); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("StartOTLP: %v", err)
	}
}

// A spool that is full drops the oldest, and counts them. Its files stay within the bound.
func TestSpoolIsFull(t *testing.T) {
	t.Parallel()
	sink := &testkit.Sink{}
	sink.Fail(errors.New("down"))
	dir, unmount := mountSpool(t, vfs.NewMem(diskBytes))
	defer unmount()
	cfg := spooling(dir)
	cfg.Consumer, cfg.SpoolBytes = sink, minSpoolRequests*minBytes
	g := newOTLPRig(t, cfg)
	g.toSink(sink)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.watch()
	for g.Stats().Samples.Dropped[DropPendingFull] == 0 {
		g.load(50, nil)
	}
	if err := g.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	if bytes := g.spool.Load().parts[otlp.Profiles].journal.Stats().Bytes; bytes > cfg.SpoolBytes {
		t.Errorf("the spool has %d bytes, more than %d", bytes, cfg.SpoolBytes)
	}
	if m := g.GetMetrics(); m.CountsForTracesOverwriteCount == 0 {
		t.Error("GetMetrics reports no overwrites")
	}
	sink.Fail(nil)
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	g.unwatch()
	s := g.checkRest()
	onlyDropped(t, s.Samples, DropPendingFull)
	if s.Samples.Held != 0 || s.Samples.Acknowledged == 0 {
		t.Errorf("at the end: %+v", s)
	}
}

// While the disk is full or fails, requests are sent from memory; those that cannot be sent
// either wait there within MaxPendingBytes, and go to the disk when it works again.
func TestSpoolWithoutDisk(t *testing.T) {
	t.Parallel()
	breaks := map[string]func(*vfs.Mem) (mend func()){
		"full": func(m *vfs.Mem) func() {
			m.SetCapacity(1 << 20)
			return func() { m.SetCapacity(diskBytes) }
		},
		"fails": func(m *vfs.Mem) func() {
			m.Inject(func(op vfs.Op) error {
				if op.Kind.Changes() {
					return syscall.EIO
				}
				return nil
			})
			return func() { m.Inject(nil) }
		},
	}
	for name, breakIt := range breaks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, sink := vfs.NewMem(diskBytes), &testkit.Sink{}
			dir, unmount := mountSpool(t, m)
			defer unmount()
			cfg := spooling(dir)
			cfg.Consumer, cfg.MaxPendingBytes = sink, 8*minBytes
			g := newOTLPRig(t, cfg)
			g.toSink(sink)
			if err := g.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			mend := breakIt(m)
			g.watch()
			g.load(50, nil)
			g.eventuallyStats("all is sent from memory", func(s Stats) bool { return s.Samples.Held == 0 })
			sink.Fail(errors.New("down"))
			for g.Stats().Samples.Dropped[DropPendingFull] == 0 {
				g.load(50, nil)
			}
			mend()
			g.eventuallyStats("what is held is on disk", func(s Stats) bool { return s.PendingRequests == 0 && s.SpooledRequests > 0 })
			sink.Fail(nil)
			if err := g.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			g.unwatch()
			onlyDropped(t, g.checkRest().Samples, DropPendingFull)
			g.end()
			if log := g.log.String(); !strings.Contains(log, "the spool does not take requests") || !strings.Contains(log, "the spool takes requests again") {
				t.Errorf("the outage of the disk was not told:\n%s", log)
			}
		})
	}
}

// A disk that does not answer stops neither the Report methods nor Stats, and costs no
// more than MaxPendingBytes of memory.
func TestSpoolOnAHangingDisk(t *testing.T) {
	t.Parallel()
	m, sink := vfs.NewMem(diskBytes), &testkit.Sink{}
	dir, unmount := mountSpool(t, m)
	defer unmount()
	cfg := spooling(dir)
	cfg.Consumer, cfg.MaxPendingBytes = sink, 4*minBytes
	g := newOTLPRig(t, cfg)
	g.toSink(sink)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	answers := make(chan struct{})
	m.Inject(func(op vfs.Op) error {
		if op.Kind.Changes() {
			<-answers
		}
		return nil
	})
	g.watch()
	for g.Stats().Samples.Dropped[DropPendingFull] == 0 {
		g.load(50, nil)
	}
	if s := g.Stats(); s.Samples.Acknowledged != 0 || s.PendingBytes > int64(cfg.MaxPendingBytes) {
		t.Errorf("%+v", s)
	}
	close(answers)
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	g.unwatch()
	onlyDropped(t, g.checkRest().Samples, DropPendingFull)
	g.end()
}

// A process that goes on with a spool whose files were damaged counts what is lost.
func TestSpoolIsDamaged(t *testing.T) {
	t.Parallel()
	sink := &testkit.Sink{}
	sink.Fail(errors.New("down"))
	dir := t.TempDir()
	cfg := spooling(dir)
	cfg.Consumer, cfg.StopTimeout = sink, time.Millisecond
	g := newOTLPRig(t, cfg)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		g.load(20, nil)
		if err := g.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	g.Stop()
	files, err := filepath.Glob(filepath.Join(dir, "profiles", "*.seg"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	f, err := os.OpenFile(files[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), 600); err != nil {
		t.Fatal(err)
	}
	f.Close()
	sink.Fail(nil)
	cfg.StopTimeout = 20 * time.Second
	second := newOTLPRig(t, cfg)
	second.toSink(sink)
	if err := second.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s := second.checkRest()
	if s.Samples.Dropped[DropDamaged] == 0 || s.Samples.Acknowledged == 0 || s.Samples.Held != 0 {
		t.Errorf("%+v", s.Samples)
	}
}

// A reporter that is stopped before it was started has no spool.
func TestSpoolNeverStarted(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	cfg := spooling(dir)
	cfg.Consumer = &testkit.Sink{}
	g := newOTLPRig(t, cfg)
	g.report(0, 4)
	if err := g.Shutdown(t.Context()); err == nil {
		t.Error("a sample is lost, and Shutdown returns nil")
	}
	checkFlow(t, "samples", g.Stats().Samples)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", dir, err)
	}
}
