package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/hostile"
)

// scenario is one row of the table.
type scenario struct {
	name    string
	measure func(ctx context.Context, h *host) result
}

// result is the result of a scenario.
type result struct {
	Scenario  string
	Offered   string
	Outcome   string // of the bad clients
	Good      []good
	RSSBefore float64 // MiB
	RSSPeak   float64
	HighWater float64
	Bound     float64 // of HighWater; 0 means none
	CPU       float64 // seconds of the server while the good clients are measured
	FilesLeft int     // descriptors still open some time after the attack that were not open before
	Seconds   float64
	Notes     []string
	Faults    []string // why the scenario failed
}

// good is the result of a good client.
type good struct {
	Port                  hostile.Port
	Before, Beside, After hostile.Report
	Ratio                 float64 // p99 during the attack to p99 alone
}

func (r *result) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

func (r *result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// course is the usual sequence of a scenario.
type course struct {
	name  string
	setup setup
	// open is called before the good clients are measured during the attack,
	// and undo after that.
	open func(ctx context.Context, h *host, srv *server, r *result) (undo func(), err error)
	// attack runs at the same time as the good clients.
	attack func(ctx context.Context, h *host, srv *server, r *result) error
	// connects says that the server keeps a connection to a destination.
	connects bool
	// ratio is the maximum of p99 during the attack to p99 alone; 0 means none.
	ratio float64
}

// floor is a latency below which a ratio has no meaning, because of timers and
// the scheduler.
const floor = 2 * time.Millisecond

func (c course) scenario() scenario { return scenario{c.name, c.measure} }

func (c course) measure(ctx context.Context, h *host) (r result) {
	r = result{Scenario: c.name}
	srv, err := h.start(c.setup)
	if err != nil {
		r.fault("%v", err)
		return r
	}
	defer srv.stop()
	h.alone(ctx, srv, time.Second) // warms up
	before := h.alone(ctx, srv, h.opt.window)
	files := srv.files()
	r.RSSBefore = srv.rss()
	highest := srv.watch()
	cpu := srv.cpu()
	beside, err := c.run(ctx, h, srv, &r)
	if err != nil {
		r.fault("%v", err)
	}
	r.CPU = srv.cpu() - cpu
	if c.connects {
		files++
	}
	r.FilesLeft = leftover(srv, files)
	after := h.alone(ctx, srv, h.opt.window)
	r.RSSPeak, r.HighWater = highest(), srv.highWater()
	for i, p := range ports {
		r.judgeGood(p, before[i], beside[i], after[i], c.ratio)
	}
	r.judgeServer(srv)
	return r
}

// run runs the attack while the good clients send.
func (c course) run(ctx context.Context, h *host, srv *server, r *result) ([]hostile.Report, error) {
	if c.open != nil {
		undo, err := c.open(ctx, h, srv, r)
		if err != nil {
			return make([]hostile.Report, len(ports)), err
		}
		defer undo()
	}
	good, stop := context.WithCancel(ctx)
	reports := make(chan []hostile.Report, 1)
	go func() { reports <- h.good(good, srv) }()
	err := c.attack(ctx, h, srv, r)
	stop()
	return <-reports, err
}

// closeWithin is how long the server may take to close the connections of the
// bad clients.
const closeWithin = 5 * time.Second

// leftover returns the number of descriptors that are still open after
// closeWithin and were not open before.
func leftover(srv *server, before int) int {
	for deadline := time.Now().Add(closeWithin); ; time.Sleep(50 * time.Millisecond) {
		left := srv.files() - before
		if left <= 0 || time.Now().After(deadline) {
			return max(left, 0)
		}
	}
}

var ports = []hostile.Port{hostile.GRPC, hostile.HTTP}

// alone measures the good clients for d.
func (h *host) alone(ctx context.Context, srv *server, d time.Duration) []hostile.Report {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return h.good(ctx, srv)
}

// good runs a good client on each port until ctx ends.
func (h *host) good(ctx context.Context, srv *server) []hostile.Report {
	reports := make([]hostile.Report, len(ports))
	var all sync.WaitGroup
	for i, p := range ports {
		g := hostile.Good{Target: srv.target, Port: p, PerSecond: h.opt.perSecond}
		all.Go(func() { reports[i] = g.Run(ctx) })
	}
	all.Wait()
	return reports
}

func (r *result) judgeGood(p hostile.Port, before, beside, after hostile.Report, most float64) {
	g := good{Port: p, Before: before, Beside: beside, After: after}
	if alone := (before.P99 + after.P99) / 2; alone > 0 {
		g.Ratio = float64(beside.P99) / float64(alone)
	}
	r.Good = append(r.Good, g)
	if beside.OK < beside.Sent || beside.Sent == 0 {
		r.fault("good %s client: %d of %d requests failed: %s", p, beside.Sent-beside.OK, beside.Sent, strings.Join(beside.Errors, "; "))
	}
	if after.OK < after.Sent {
		r.fault("good %s client, after the attack: %d of %d requests failed: %s", p, after.Sent-after.OK, after.Sent, strings.Join(after.Errors, "; "))
	}
	if most > 0 && g.Ratio >= most && beside.P99 > floor {
		r.fault("good %s client: p99 %s during the attack is %.1f times that alone, expected less than %g", p, beside.P99, g.Ratio, most)
	}
}

func (r *result) judgeServer(srv *server) {
	if !srv.alive() {
		r.fault("penstock exited: %s; its log: %s", srv.cmd.ProcessState, srv.tail())
		return
	}
	if r.Bound = float64(srv.limit); r.Bound > 0 && r.HighWater > r.Bound {
		r.fault("VmHWM %.0f MiB, expected at most %.0f", r.HighWater, r.Bound)
	}
	if r.FilesLeft > 0 {
		r.fault("%d connections of the attack are still open %s after it", r.FilesLeft, closeWithin)
	}
}

// tallyOf formats counts by name.
func tallyOf(m map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d× %s", m[k], k))
	}
	return strings.Join(parts, ", ")
}
