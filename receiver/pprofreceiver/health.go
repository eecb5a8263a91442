package pprofreceiver

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/obsreport"
)

// health logs the problems of a target: once when they begin, for each cause, and
// once when all are over.
type health struct {
	log   *slog.Logger
	name  string
	words *wording

	mu      sync.Mutex
	failing map[string]trouble // by kind of profile
	since   time.Time          // when the first of them began to fail
	failed  int                // fetches since then
	status  TargetStatus
	// What metrics have beside it.
	up              bool             // the last fetch brought a profile
	outcomes        map[string]int64 // fetches, by cause; "success"
	bytes, restarts int64
}

type trouble struct {
	cause cause
	text  string
}

// wording is what is said of trouble, and whether of each kind of profile: all
// that a target serves tend to fail together, files do not.
type wording struct {
	fails, back, key string
	each             bool
}

var (
	ofTargets = &wording{
		fails: "a pprof target fails; it is asked again in each round, and this is not repeated",
		back:  "a pprof target is back", key: "profile",
	}
	ofFiles = &wording{
		fails: "a file is not a profile that can be used; it is read again when it has changed",
		back:  "all files can be used again", key: "file", each: true,
	}
)

// TargetStatus is how a target is doing.
type TargetStatus struct {
	// Name is host:port, or "files".
	Name string
	// Fetches were made, of which Failures failed.
	Fetches, Failures int64
	// Numbers were handed to the sink: samples times sample types, without zeros.
	Numbers int64
	// Last is when a fetch last succeeded.
	Last time.Time
	// Problem is what is wrong with it now; empty: nothing.
	Problem string
}

func newHealth(log *slog.Logger, name string, words *wording) *health {
	return &health{log: log, name: name, words: words, failing: map[string]trouble{}, outcomes: map[string]int64{}}
}

// note takes the outcome of a fetch.
func (h *health) note(kind string, n counts, err error) {
	why := causeOf(err)
	if err != nil && why == causeStopped {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Fetches++
	outcome := "success"
	if err != nil {
		outcome = string(why)
	}
	h.outcomes[outcome]++
	h.up = err == nil
	h.status.Numbers += int64(n.taken)
	if err == nil {
		h.status.Last = time.Now()
		h.succeeded(kind)
		return
	}
	h.status.Failures++
	known := h.failing[kind].cause == why
	if !h.words.each {
		for _, other := range h.failing {
			known = known || other.cause == why
		}
	}
	if len(h.failing) == 0 {
		h.since, h.failed = time.Now(), 0
	}
	h.failing[kind] = trouble{why, err.Error()}
	h.failed++
	if !known {
		h.log.LogAttrs(context.Background(), slog.LevelWarn, h.words.fails,
			slog.String("target", h.name), slog.String(h.words.key, kind), slog.String("cause", string(why)), slog.Any("error", err))
	}
}

func (h *health) succeeded(kind string) {
	if _, failed := h.failing[kind]; !failed {
		return
	}
	delete(h.failing, kind)
	if len(h.failing) > 0 {
		return
	}
	h.log.LogAttrs(context.Background(), slog.LevelInfo, h.words.back,
		slog.String("target", h.name), slog.Duration("after", time.Since(h.since).Round(time.Millisecond)), slog.Int("failed_fetches", h.failed))
}

// fetched counts the bytes of a profile.
func (h *health) fetched(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes += int64(n)
}

// restarted counts a restart.
func (h *health) restarted() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.restarts++
}

// addTo adds the target to what metrics have of its name.
func (h *health) addTo(t *obsreport.PprofTarget) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.Up = t.Up && h.up
	t.Bytes += h.bytes
	t.Restarts += h.restarts
	for outcome, n := range h.outcomes {
		t.Fetches[outcome] += n
	}
}

// forget takes back a kind that is not fetched any more.
func (h *health) forget(kind string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.failing, kind)
}

func (h *health) current() TargetStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.status
	s.Name = h.name
	for _, kind := range slices.Sorted(maps.Keys(h.failing)) {
		s.Problem = kind + ": " + h.failing[kind].text
		break
	}
	return s
}
