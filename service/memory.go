package service

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/service/internal/load"
	"github.com/penstock-telemetry/penstock/service/internal/selfobs"
)

// Shares and bounds by which the memory of the process is divided;
// docs/memory.md gives the reasons.
const (
	// defaultLimitPercent of the available memory is the limit without a
	// memory_limiter.
	defaultLimitPercent = 80
	// budgetDivisor: requests in flight may hold one half of the soft limit.
	budgetDivisor = 2
	// maxDefaultBudget is the maximum of a budget that is not configured, in
	// bytes.
	maxDefaultBudget = 1 << 30
	// unknownMemoryBudget is the budget if the available memory is unknown.
	unknownMemoryBudget = 256 << 20
	// growWithin is how long after a reload with a smaller budget the requests in flight
	// may hold what the previous one was.
	growWithin = time.Minute
	// The budget divided by bytesPerWaiting is the number of requests that may
	// wait, but at least minWaiting and at most admission.DefaultMaxWaiting. A
	// waiting request has a goroutine, and data that the kernel and the
	// transport have read ahead; neither is charged to the budget.
	bytesPerWaiting = 256 << 10
	minWaiting      = 64
)

// available is the memory that the process may use.
type available struct {
	bytes    int64  // 0: unknown
	source   string // "the cgroup's", "this machine's"
	warnings []string
}

// detectMemory returns the limit of the cgroup (version 1 or 2) or the memory
// of the machine, whichever is less.
func detectMemory() available { return detectedMemory(memlimit.FromCgroup, memlimit.FromSystem) }

func detectedMemory(cgroup, machine memlimit.Provider) available {
	var a available
	if n, err := machine(); err == nil && n > 0 {
		a.bytes, a.source = clampBytes(n), "this machine's"
	}
	switch n, err := cgroup(); {
	case err == nil && n > 0 && (a.bytes == 0 || clampBytes(n) < a.bytes):
		a.bytes, a.source = clampBytes(n), "the cgroup's"
	case err == nil, errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
	default:
		a.warnings = append(a.warnings, fmt.Sprintf(
			"read the memory limit of the cgroup: %v; the limit is derived from the memory of the machine", err))
	}
	return a
}

func clampBytes(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// memory holds the memory limits of the process.
//
//	available ──80 %, or memory_limiter──► limit ──less a fifth, or spike──► soft ──► GOMEMLIMIT
//	                                                                           └─ ½ ─► budget
type memory struct {
	limit, soft int64  // bytes; 0: unknown
	from        string // source of limit
	bytes       int64  // of the budget
	capped      bool   // at maxDefaultBudget
	budget      *admission.Budget
	warnings    []string

	runtime  goRuntime
	goBefore int64  // the runtime's limit before apply changed it
	goSet    bool   // apply changed the limit
	goText   string // the current limit, for the log

	shrinking shrinking
}

// shrinking is the time after a smaller budget in which the requests in flight may hold
// more than it.
type shrinking struct {
	mu        sync.Mutex // held while the budget is resized
	timer     *time.Timer
	growBytes int64     // 0: it is over
	until     time.Time // of growBytes
}

// resize changes a budget from before bytes to another size.
func (s *shrinking) resize(budget *admission.Budget, before int64, to admission.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to.Bytes < before {
		s.growBytes, s.until = max(s.growBytes, before), time.Now().Add(growWithin)
	}
	if s.stop(); s.growBytes <= to.Bytes {
		s.growBytes = 0
		budget.Resize(to)
		return
	}
	gentle := to
	gentle.GrowBytes = s.growBytes
	budget.Resize(gentle)
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(s.until), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.timer == timer { // else there was another change meanwhile
			s.growBytes = 0
			budget.Resize(to)
		}
	})
	s.timer = timer
}

// stop ends the timer. The lock is held.
func (s *shrinking) stop() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// goRuntime is the Go runtime's own limit.
type goRuntime struct {
	setLimit func(int64) int64 // debug.SetMemoryLimit; a negative argument only reads the limit
	env      string            // the environment variable GOMEMLIMIT
	maySet   bool              // Options.SetMemoryLimit
}

// thisRuntime returns the runtime of this process. If set is false, its limit is
// only read.
func thisRuntime(set bool) goRuntime {
	return goRuntime{debug.SetMemoryLimit, os.Getenv("GOMEMLIMIT"), set}
}

// newMemory derives the limits from the memory_limiters of a configuration. If
// there are several, the one with the lowest soft limit applies to the whole
// process.
func newMemory(cfg *load.Config, have available, runtime goRuntime) (*memory, error) {
	m, err := deriveMemory(cfg, have, runtime, runtime.setLimit(-1))
	if err != nil {
		return nil, err
	}
	m.budget = admission.New(m.admission())
	return m, nil
}

// deriveMemory returns the limits without a budget. goLimit is the limit of the runtime
// that is not set by the service.
func deriveMemory(cfg *load.Config, have available, runtime goRuntime, goLimit int64) (*memory, error) {
	m := &memory{warnings: have.warnings, runtime: runtime}
	var problems config.Errors
	limited := false
	for _, c := range cfg.MemoryLimiters() {
		if c.Config.(component.MemoryLimiter).Relative() && have.bytes == 0 {
			problems.Add(c.Errorf("limit_percentage: cannot determine the available memory on this system; expected limit_mib"))
			continue
		}
		if limit, soft := m.limitsOf(c, have); !limited || soft < m.soft {
			m.limit, m.soft, m.from, limited = limit, soft, limitText(c, have), true
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if !limited {
		m.byDefault(have)
	}
	m.fillBudget(!limited, goLimit)
	return m, nil
}

// byDefault sets the limits if the configuration has none.
func (m *memory) byDefault(have available) {
	if have.bytes > 0 {
		m.limit = have.bytes/100*defaultLimitPercent + have.bytes%100*defaultLimitPercent/100
		m.soft = m.limit - m.limit/5
		m.from = fmt.Sprintf("%d %% of %s %s", defaultLimitPercent, have.source, mebibytes(have.bytes))
		return
	}
	m.warnings = append(m.warnings, fmt.Sprintf(
		"cannot determine the available memory on this system: requests in flight may hold %s, and GOMEMLIMIT is not set; set limit_mib of a memory_limiter to change this", mebibytes(unknownMemoryBudget)))
}

// fillBudget derives the size of the budget from what the Go runtime may use: the soft
// limit, or the memory limit of the runtime if that is less.
func (m *memory) fillBudget(byDefault bool, goLimit int64) {
	usable := m.soft
	if usable == 0 {
		usable = unknownMemoryBudget * budgetDivisor
	}
	usable = min(usable, goLimit)
	m.bytes = usable / budgetDivisor
	if m.capped = byDefault && m.bytes > maxDefaultBudget; m.capped {
		m.bytes = maxDefaultBudget
	}
	m.bytes = max(m.bytes, 1) // 0 would mean no limit
}

func (m *memory) admission() admission.Config {
	return admission.Config{
		Bytes:      m.bytes,
		MaxWaiting: int(min(max(m.bytes/bytesPerWaiting, minWaiting), admission.DefaultMaxWaiting)),
	}
}

// plan derives the limits of another configuration, for become.
func (m *memory) plan(cfg *load.Config, have available) (*memory, error) {
	goLimit := m.runtime.setLimit(-1)
	if m.goSet && goLimit == m.soft {
		goLimit = m.goBefore
	}
	return deriveMemory(cfg, have, m.runtime, goLimit)
}

// become takes over the limits of next while requests are in flight: these may finish with
// the budget that they began with.
func (m *memory) become(next *memory) {
	m.restoreLimit()
	before := m.bytes
	m.limit, m.soft, m.from, m.bytes, m.capped, m.warnings = next.limit, next.soft, next.from, next.bytes, next.capped, next.warnings
	m.apply()
	m.shrinking.resize(m.budget, before, m.admission())
}

// changes describes how next differs.
func (m *memory) changes(next *memory) (texts []string) {
	for _, c := range []struct{ name, before, after string }{
		{"memory limit", m.limitSummary(), next.limitSummary()},
		{"memory budget", m.inFlightText(), next.inFlightText()},
	} {
		if c.before != c.after {
			texts = append(texts, fmt.Sprintf("%s: %s -> %s", c.name, c.before, c.after))
		}
	}
	return texts
}

// limitsOf returns the limits of a memory_limiter, reduced to the available
// memory.
func (m *memory) limitsOf(c *load.Component, have available) (limit, soft int64) {
	limit, soft = c.Config.(component.MemoryLimiter).Limits(have.bytes)
	if have.bytes == 0 || limit <= have.bytes {
		return limit, soft
	}
	m.warnings = append(m.warnings, c.Errorf("the limit of %s is more than %s %s; the lower value is used",
		mebibytes(limit), have.source, mebibytes(have.bytes)).Error())
	return have.bytes, min(soft, have.bytes-have.bytes/5)
}

func limitText(c *load.Component, have available) string {
	if m := c.Config.(component.MemoryLimiter); m.Relative() {
		return fmt.Sprintf("%s: %d %% of %s %s", c.ID, m.Percentage(), have.source, mebibytes(have.bytes))
	}
	return c.ID
}

// apply sets the memory limit of the Go runtime to the soft limit, unless one
// is set already: an embedding program may have called debug.SetMemoryLimit
// before Start.
func (m *memory) apply() {
	now := m.runtime.setLimit(-1) // reads the current limit
	switch {
	case m.runtime.env != "":
		m.goText = "set by the environment, " + m.runtime.env
	case now != math.MaxInt64:
		m.goText = "set by the embedding program, " + mebibytes(now)
	case m.soft == 0 || !m.runtime.maySet:
		m.goText = "not set"
	default:
		m.goBefore, m.goSet = m.runtime.setLimit(m.soft), true
		m.goText = mebibytes(m.soft)
	}
}

// restore undoes apply, unless the limit has been changed since.
func (m *memory) restore() {
	m.shrinking.mu.Lock()
	m.shrinking.stop()
	m.shrinking.mu.Unlock()
	m.restoreLimit()
}

func (m *memory) restoreLimit() {
	if m.goSet && m.runtime.setLimit(-1) == m.soft {
		m.runtime.setLimit(m.goBefore)
	}
	m.goSet = false
}

// inFlightText and limitSummary are parts of the log line at start.
func (m *memory) inFlightText() string {
	if m.capped {
		return mebibytes(m.bytes) + " (the maximum without a memory_limiter)"
	}
	return mebibytes(m.bytes)
}

func (m *memory) limitSummary() string {
	if m.limit == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%s (%s)", mebibytes(m.limit), m.from)
}

func (m *memory) texts() *selfobs.Memory {
	return &selfobs.Memory{InFlight: m.inFlightText(), Limit: m.limitSummary(), GoLimit: m.goText}
}

// mebibytes prints n bytes in whole MiB, or KiB where that is too coarse.
func mebibytes(n int64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
