package pprofreceiver

import (
	"bytes"
	"context"
	"net/http"
	httppprof "net/http/pprof"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"
)

// process is this test's own process, profiled as any other: real handlers, real
// load. It keeps what it answered.
type process struct {
	mux  http.ServeMux
	mu   sync.Mutex
	gave map[string][]*profile.Profile
}

func newProcess() *process {
	p := &process{gave: map[string][]*profile.Profile{}}
	p.mux.HandleFunc("/debug/pprof/", httppprof.Index)
	p.mux.HandleFunc("/debug/pprof/profile", httppprof.Profile)
	return p
}

type tee struct {
	http.ResponseWriter
	copy bytes.Buffer
}

func (t *tee) Write(b []byte) (int, error) {
	t.copy.Write(b)
	return t.ResponseWriter.Write(b)
}

func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	both := &tee{ResponseWriter: w}
	p.mux.ServeHTTP(both, r)
	if gave, err := profile.ParseData(both.copy.Bytes()); err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.gave[r.URL.Path] = append(p.gave[r.URL.Path], gave)
	}
}

// given returns what was answered at a path, once it is no longer being added to.
func (p *process) given(path string) []*profile.Profile {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gave["/debug/pprof/"+path]
}

// busy makes the process do what profiles are about, until the test ends.
func busy(t *testing.T) {
	mutexes := runtime.SetMutexProfileFraction(1)
	runtime.SetBlockProfileRate(1)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var shared sync.Mutex
	meet := make(chan int)
	for range 4 {
		all.Go(func() {
			pprof.Do(ctx, pprof.Labels("route", "/cart"), func(ctx context.Context) {
				for ctx.Err() == nil {
					contend(&shared, meet)
				}
			})
		})
	}
	var met sync.WaitGroup
	met.Go(func() {
		for range meet { // until stopped
		}
	})
	t.Cleanup(func() {
		stop()
		all.Wait()
		close(meet)
		met.Wait()
		runtime.SetMutexProfileFraction(mutexes)
		runtime.SetBlockProfileRate(0)
	})
}

var retained [][]byte

//go:noinline
func contend(shared *sync.Mutex, meet chan int) {
	shared.Lock()
	b := make([]byte, 64<<10)
	for i := range b {
		b[i] = byte(i * i)
	}
	if retained = append(retained, b); len(retained) > 64 {
		retained = nil
	}
	shared.Unlock()
	select {
	case meet <- len(b):
	case <-time.After(time.Millisecond):
	}
}

// A real process: what is reported adds up, nothing looks like a restart.
func TestRealProcess(t *testing.T) {
	busy(t)
	p := newProcess()
	cfg := one(serve(t, p), "heap")
	cfg.Profiles = DefaultProfiles()
	cfg.CollectionInterval = 2 * time.Second
	r := newRig(t, cfg)
	r.rounds(4)
	if got := r.failed(); got != "map[]" {
		t.Fatalf("failures %s\n%s", got, strings.Join(r.log.Lines(""), "\n"))
	}
	if n := r.Stats().Restarts; n != 0 {
		t.Errorf("%d restarts noticed in one process", n)
	}
	want := totals{}
	for path, prefix := range map[string]string{"heap": "alloc", "mutex": "", "block": ""} {
		gave := p.given(path)
		since := totalsOf(gave[len(gave)-1], prefix).minus(totalsOf(gave[0], prefix))
		if len(since) == 0 {
			t.Errorf("%s: nothing happened", path)
		}
		for key, v := range since { // mutex and block have the same types
			want[key] += v
		}
	}
	sameTotals(t, "what accumulated", r.sink.sum("alloc", "contentions", "delay"), want)
	if len(p.given("allocs")) != 0 {
		t.Error("allocs was fetched beside heap, which is the same")
	}
	cpu := r.sink.sum("cpu")
	if cpu.total("cpu") == 0 {
		t.Error("no CPU time")
	}
	var gave int64
	for _, p := range p.given("profile") {
		gave += totalsOf(p, "cpu").total("cpu")
	}
	if cpu.total("cpu") != gave {
		t.Errorf("%d ns of CPU reported, of %d", cpu.total("cpu"), gave)
	}
	labels, inlined := false, false
	for key := range cpu {
		labels = labels || strings.Contains(key, `"route"=["/cart"]`)
		inlined = inlined || strings.Count(key, ", ") > strings.Count(key, "< ")
	}
	if !labels || !inlined {
		t.Errorf("labels kept: %v, inlined functions kept: %v", labels, inlined)
	}
	for _, typ := range []string{"inuse_space", "goroutine"} {
		if r.sink.sum(typ).total(typ) == 0 {
			t.Errorf("no %s", typ)
		}
	}
}

// Two clients profile one process at the same time: the second gets an error,
// and succeeds later.
func TestRealCPUProfileInUse(t *testing.T) {
	p := newProcess()
	addr := serve(t, p)
	var other bytes.Buffer
	if err := pprof.StartCPUProfile(&other); err != nil {
		t.Fatal(err)
	}
	cfg := one(addr, "cpu")
	cfg.CollectionInterval = 2 * time.Second
	r := newRig(t, cfg)
	r.rounds(1)
	pprof.StopCPUProfile()
	if got := r.failed(); got != "map[busy:1]" {
		t.Errorf("failures %s", got)
	}
	if lines := r.log.Lines(""); len(lines) != 1 || !strings.Contains(lines[0], "trying again in the next round") {
		t.Errorf("log %q", lines)
	}
	r.rounds(1)
	if lines := r.log.Lines(""); len(lines) != 2 || !strings.Contains(lines[1], "is back") {
		t.Errorf("log %q", lines)
	}
}
