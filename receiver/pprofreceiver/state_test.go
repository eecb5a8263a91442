package pprofreceiver

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/otlp"
)

// durable is a recorder that reports when it has handed on what it has.
type durable struct {
	*recorder
	mu   sync.Mutex
	sync error // of Sync
}

func (d *durable) Flush() {}

func (d *durable) Sync(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sync
}

// processes are engines after each other, with the same state.
type processes struct {
	t    *testing.T
	dir  string
	sink *durable
}

func newProcesses(t *testing.T) *processes {
	return &processes{t, filepath.Join(t.TempDir(), "a", "state"), &durable{recorder: &recorder{}}}
}

// run is the life of one: it makes rounds and ends.
func (p *processes) run(cfg Config, rounds int, handed bool) *rig {
	p.t.Helper()
	r := newRig(p.t, cfg)
	r.Engine.sink = p.sink
	if err := r.KeepState(p.dir); err != nil {
		p.t.Fatal(err)
	}
	r.rounds(rounds)
	if err := errors.Join(r.Shutdown(context.Background()), r.SaveState(handed)); err != nil {
		p.t.Error(err)
	}
	return r
}

// counted serves a profile of contentions for each number.
func counted(numbers ...int64) *script {
	s := &script{}
	for _, n := range numbers {
		s.left = append(s.left, makeProfile(lockTypes, time.Now(), program, 0, simple("f", n, 10*n), simple("g", 1, n)))
	}
	return s
}

// What accumulated while no process ran, and between its last fetch and the first of the
// next one, is reported.
func TestStateOverRestart(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	cfg := one(serve(t, counted(100, 150, 170, 300, 301)), "mutex")
	p.run(cfg, 2, true)
	p.run(cfg, 1, true)
	p.run(cfg, 2, true)
	if got := p.sink.sum("contentions").total("contentions"); got != 201 {
		t.Errorf("%d contentions were reported, want 201", got)
	}
	if info, err := os.Stat(p.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	files, err := filepath.Glob(filepath.Join(p.dir, "*"+stateSuffix))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// Several processes behind one address are each compared with themselves, also over a
// restart.
func TestStateOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	p, served := newProcesses(t), &script{}
	other := profile.Mapping{Start: 0x500000, Limit: 0x900000, File: "/usr/bin/shop", BuildID: "abc/def"}
	for _, n := range []int64{100, 1000, 101, 1001, 102, 1002} {
		m := program
		if n >= 1000 {
			m = other
		}
		served.left = append(served.left, makeProfile(lockTypes, time.Now(), m, 0, simple("f", n, n)))
	}
	cfg := one(serve(t, served), "mutex")
	p.run(cfg, 3, true)
	before := p.sink.sum("contentions").total("contentions")
	p.run(cfg, 3, true)
	if got := p.sink.sum("contentions").total("contentions") - before; got != 3 {
		t.Errorf("the second process reported %d contentions, want 3", got)
	}
}

// A state is not saved before the sink has handed on what came before it: then the next
// process repeats it.
func TestStateWaitsForTheSink(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	cfg := one(serve(t, counted(100, 150, 170)), "mutex")
	p.run(cfg, 1, true)
	p.sink.sync = errors.New("stopped")
	p.run(cfg, 1, false) // 50
	p.run(cfg, 1, true)  // 70
	if got := p.sink.sum("contentions").total("contentions"); got != 120 {
		t.Errorf("%d contentions were reported, want 120", got)
	}
	p.run(cfg, 1, true) // the end of the process before has saved it
	if got := p.sink.sum("contentions").total("contentions"); got != 120 {
		t.Errorf("%d contentions were reported, want 120", got)
	}
}

// A file is read once, also over a restart, until it is changed.
func TestStateOfFiles(t *testing.T) {
	t.Parallel()
	p, dir := newProcesses(t), t.TempDir()
	write := func(name string, n int64) {
		var b bytes.Buffer
		if err := makeProfile(lockTypes, time.Now(), program, 0, simple("f", n, n)).Write(&b); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := DefaultConfig()
	cfg.Files = []string{filepath.Join(dir, "*.pprof")}
	write("a.pprof", 1)
	p.run(cfg, 1, true)
	write("b.pprof", 10)
	p.sink.fail = context.DeadlineExceeded // there is no room
	p.run(cfg, 1, true)
	p.sink.fail = nil
	p.run(cfg, 1, true)
	write("a.pprof", 100_000)
	p.run(cfg, 2, true)
	p.run(cfg, 1, true)
	if got := p.sink.sum("contentions").total("contentions"); got != 100_011 {
		t.Errorf("%d contentions were reported, want 100011", got)
	}
}

// A state that is damaged, or for which there is no room, is logged, and counting begins
// again.
func TestStateIsDamaged(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	cfg := one(serve(t, counted(100, 150, 170, 190, 210)), "mutex")
	p.run(cfg, 1, true)
	files, err := filepath.Glob(filepath.Join(p.dir, "*"+stateSuffix))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var s savedJob
	for at := range data {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		if err := parseState(bad, &s); !errors.Is(err, errState) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	for n := range data {
		if err := parseState(data[:n], &s); !errors.Is(err, errState) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := p.run(cfg, 1, true)
	if got := p.sink.sum("contentions").total("contentions"); got != 0 || !strings.Contains(r.log.String(), "the state of an earlier process is lost") {
		t.Errorf("%d contentions were reported:\n%s", got, r.log)
	}
	small := cfg
	small.MaxBaselineBytes = 1
	r = p.run(small, 0, true)
	if !strings.Contains(r.log.String(), "no room for the state") {
		t.Errorf("there is no room:\n%s", r.log)
	}
	p.run(cfg, 1, true)
	if got := p.sink.sum("contentions").total("contentions"); got != 20 {
		t.Errorf("%d contentions were reported, want 20", got)
	}
}

// The folder of a state has one process at a time.
func TestStateIsLocked(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	cfg := one(serve(t, counted(1)), "mutex")
	r := newRig(t, cfg)
	r.Engine.sink = p.sink
	if err := r.KeepState(p.dir); err != nil {
		t.Fatal(err)
	}
	second := newRig(t, cfg)
	second.Engine.sink = p.sink
	if err := second.KeepState(p.dir); !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), p.dir) {
		t.Errorf("the second: %v", err)
	}
	if err := errors.Join(r.Shutdown(context.Background()), r.SaveState(true)); err != nil {
		t.Error(err)
	}
	if err := second.KeepState(p.dir); err != nil {
		t.Error(err)
	}
	if err := errors.Join(second.Shutdown(context.Background()), second.SaveState(true)); err != nil {
		t.Error(err)
	}
	third := newRig(t, cfg)
	if err := third.KeepState(p.dir); err == nil || !strings.Contains(err.Error(), "is not durable") {
		t.Errorf("a sink that is not durable: %v", err)
	}
}

func FuzzState(f *testing.F) {
	p := filepath.Join(f.TempDir(), "x")
	for _, state := range []any{&savedJob{}, &savedFiles{map[string]fileVersion{"a": {1, time.Unix(1, 0)}}},
		&savedJob{[]savedBaseline{{Process: "p", Columns: []string{"c"}, Stacks: map[string][]int64{"s": {1}}}}}} {
		if err := writeState(p, state); err != nil {
			f.Fatal(err)
		}
		data, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var job savedJob
		if err := parseState(data, &job); err != nil && !errors.Is(err, errState) {
			t.Error(err)
		}
		var files savedFiles
		if err := parseState(data, &files); err != nil && !errors.Is(err, errState) {
			t.Error(err)
		}
		for i := range job.Baselines {
			job.Baselines[i].valid()
		}
	})
}

// The receiver hands on what it has fetched at once, and does not hold it for the interval
// of its reporter: the end of the process would lose it.
func TestReceiverHandsOnAtOnce(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	if err := makeProfile(lockTypes, time.Now(), program, 0, simple("f", 1, 1)).Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.pprof"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sink, cfg := &testkit.Sink{}, DefaultConfig()
		cfg.Files = []string{filepath.Join(dir, "*.pprof")}
		r, err := New(cfg, settings())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Register(otlp.Profiles, sink), r.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // of the bubble: less than the reporter's interval
		synctest.Wait()
		if n := len(sink.Requests(otlp.Profiles)); n != 1 {
			t.Errorf("%d requests came", n)
		}
		if err := r.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
