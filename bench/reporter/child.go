package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter"
)

// childArg makes the program run one measurement, which it reads from its
// input.
const childArg = "measure"

type kind string

const (
	kindEvent    kind = "event"    // calls of ReportTraceEvent with known stacks
	kindCount    kind = "count"    // calls of ReportCountForTrace
	kindFlush    kind = "flush"    // a million events, all in one request: its CPU
	kindResident kind = "resident" // the same: its resident memory
	kindLive     kind = "live"     // the same: its live heap
)

type job struct {
	Kind       kind
	Who        string
	Scale      int // percentage
	Goroutines int
	Traces     int
	Windows    bool   // of the default size, not all in one request
	Profile    string // a file for a CPU profile of the flush
}

// report is the result of a measurement. Values that were not measured are 0.
type report struct {
	Calls                   int
	CPUSeconds, WallSeconds float64
	Mallocs                 uint64
	ReportCPUSeconds        float64 // before CPUSeconds begins
	TotalCPUSeconds         float64
	Requests, WireBytes     int
	MemoryBytes             int64 // peak, in addition to the memory before
}

// runChild runs a measurement in a separate process.
func runChild(j job) (r report, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	in, err := json.Marshal(j)
	if err != nil {
		return r, err
	}
	cmd := exec.Command(self, childArg)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("measure %s of %s: %w", j.Kind, j.Who, err)
	}
	return r, json.Unmarshal(out, &r)
}

func childMain() int {
	var j job
	err := json.NewDecoder(os.Stdin).Decode(&j)
	var r report
	if err == nil {
		r, err = j.run()
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reporter child:", err)
		return 1
	}
	return 0
}

func (j job) run() (report, error) {
	switch j.Kind {
	case kindEvent:
		return j.events()
	case kindCount:
		return j.counts()
	default:
		return j.million()
	}
}

func (j job) scaled(n int) int { return max(1, n*j.Scale/100) }

// calls measures do, which every goroutine calls n times.
func calls(goroutines, n int, do func(goroutine, i int)) report {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuSeconds(), time.Now()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range n {
				do(g, i)
			}
		})
	}
	wg.Wait()
	wall, used := time.Since(start).Seconds(), cpuSeconds()-cpu
	runtime.ReadMemStats(&after)
	return report{Calls: n * goroutines, WallSeconds: wall, CPUSeconds: used, Mallocs: after.Mallocs - before.Mallocs}
}

// knownStacks is the number of different stacks that the calls use in turn.
const knownStacks = 1000

func (j job) events() (report, error) {
	s, err := newSubject(j.Who, newWorkload(knownStacks), oneRequest())
	if err != nil {
		return report{}, err
	}
	for i := range knownStacks {
		if err := s.event(i, epoch); err != nil {
			return report{}, err
		}
	}
	n := j.scaled(2_000_000) / j.Goroutines
	return calls(j.Goroutines, n, func(g, i int) {
		_ = s.event((g*knownStacks/j.Goroutines+i)%knownStacks, epoch+uint64(i)) // the stack was accepted before
	}), nil
}

func (j job) counts() (report, error) {
	s, err := newOurs(&workload{}, oneRequest())
	if err != nil {
		return report{}, err
	}
	traces := make([]libpf.TraceHash, j.Traces)
	for i := range traces {
		traces[i] = libpf.NewTraceHash(uint64(i+1)*0x9e3779b97f4a7c15, uint64(i+1)*0xc4ceb9fe1a85ec53)
	}
	count := func(g, i int) {
		s.r.ReportCountForTrace(traces[(g*j.Traces/j.Goroutines+i)%j.Traces], libpf.UnixTime32(epoch/1e9), 1, "worker", "pod-12345", "container-1")
	}
	for i := range j.Traces {
		count(0, i)
	}
	return calls(j.Goroutines, j.scaled(4_000_000)/j.Goroutines, count), nil
}

// million reports a million events over 50,000 stacks, and flushes.
func (j job) million() (r report, err error) {
	stacks, events := j.scaled(50_000), j.scaled(1_000_000)
	cfg := oneRequest()
	if j.Windows {
		cfg = reporter.OTLPConfig{}
	}
	s, err := newSubject(j.Who, newWorkload(stacks), cfg)
	if err != nil {
		return r, err
	}
	at := times(events)
	if j.Kind == kindResident {
		debug.FreeOSMemory() // otherwise garbage of the preparations would be reused, and the peak would be too low
	}
	m, err := watchMemory(j.Kind)
	if err != nil {
		return r, err
	}
	start := cpuSeconds()
	for i, t := range at {
		if j.Windows && i%paceEvery == 0 {
			pace(s)
		}
		if err := s.event(i%stacks, t); err != nil {
			return r, err
		}
	}
	r.Calls, r.ReportCPUSeconds = events, cpuSeconds()-start
	if j.Kind == kindFlush && !j.Windows {
		runtime.GC() // so that the flush does not pay for the garbage of the reporting
	}
	before, err := j.profiled(s.flush)
	if err != nil {
		return r, err
	}
	r.CPUSeconds, r.TotalCPUSeconds = cpuSeconds()-before, cpuSeconds()-start
	r.Requests, r.WireBytes = s.requests().n, s.requests().bytes
	runtime.KeepAlive(at)
	r.MemoryBytes, err = m.stop()
	return r, err
}

// paceEvery is the number of events between two calls of pace.
const paceEvery = 2000

// pace waits while the window is larger than flushAtBytes. Without it five
// million events a second, far more than a profiler reports, would be dropped
// (and counted).
func pace(s subject) {
	for s.(*ourSubject).r.Stats().WindowBytes > flushAtBytes {
		time.Sleep(100 * time.Microsecond)
	}
}

// flushAtBytes is three eighths of OTLPConfig.MaxWindowBytes: three quarters of one
// window of two.
const flushAtBytes = 24 << 20

// profiled calls do, with a CPU profile if one was asked for, and returns the CPU
// time before.
func (j job) profiled(do func() error) (before float64, err error) {
	if j.Profile == "" {
		before = cpuSeconds()
		return before, do()
	}
	f, err := os.Create(j.Profile)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	runtime.SetCPUProfileRate(1000) // the default of 100 samples a second is too few for one flush
	if err := pprof.StartCPUProfile(f); err != nil {
		return 0, err
	}
	defer pprof.StopCPUProfile()
	return cpuSeconds(), do()
}

// cpuSeconds is the user and system time of this process.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it cannot fail on Linux with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
