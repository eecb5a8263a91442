package service

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"

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
	// defaultLimitPercent of what there is is the limit without a memory_limiter.
	defaultLimitPercent = 80
	// budgetDivisor: requests in flight may hold one half of the soft limit.
	budgetDivisor = 2
	// maxDefaultBudget bounds the budget that nobody asked for, in bytes.
	maxDefaultBudget = 1 << 30
	// blindBudget is the budget where nobody knows how much memory there is.
	blindBudget = 256 << 20
	// bytesPerWaiting of the budget let one request wait, within minWaiting and
	// what admission takes as its default: what waits has a goroutine and what
	// the kernel and the transport have read ahead, none of which is charged.
	bytesPerWaiting = 256 << 10
	minWaiting      = 64
)

// available is the memory that the process may use.
type available struct {
	bytes    int64  // 0: not known
	whose    string // "the cgroup's", "this machine's"
	warnings []string
}

// detectMemory takes the limit of the cgroup, of version 1 or 2, and the memory
// of the machine, whichever is less.
func detectMemory() available { return detectedMemory(memlimit.FromCgroup, memlimit.FromSystem) }

func detectedMemory(cgroup, machine memlimit.Provider) available {
	var a available
	if n, err := machine(); err == nil && n > 0 {
		a.bytes, a.whose = clampBytes(n), "this machine's"
	}
	switch n, err := cgroup(); {
	case err == nil && n > 0 && (a.bytes == 0 || clampBytes(n) < a.bytes):
		a.bytes, a.whose = clampBytes(n), "the cgroup's"
	case err == nil, errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
	default:
		a.warnings = append(a.warnings, fmt.Sprintf(
			"cannot read the memory limit of the cgroup, so only the memory of the machine counts: %v", err))
	}
	return a
}

func clampBytes(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// memory is how the process's memory is bounded.
//
//	available ──80 %, or memory_limiter──► limit ──less a fifth, or spike──► soft ──► GOMEMLIMIT
//	                                                                           └─ ½ ─► budget
type memory struct {
	limit, soft int64  // bytes; 0: not known
	from        string // where limit comes from
	bytes       int64  // of the budget
	capped      bool   // at maxDefaultBudget
	budget      *admission.Budget
	warnings    []string

	runtime  goRuntime
	goBefore int64  // what it was before apply, if that has set it
	goSet    bool   // by apply
	goText   string // what it is now, for people
}

// goRuntime is the Go runtime's own limit.
type goRuntime struct {
	setLimit func(int64) int64 // debug.SetMemoryLimit: less than 0 only asks
	env      string            // the variable GOMEMLIMIT, which the runtime has read
	mayBeSet bool              // Options.SetMemoryLimit
}

// thisRuntime is the runtime of this process. If set is false, its limit is only
// read.
func thisRuntime(set bool) goRuntime {
	return goRuntime{debug.SetMemoryLimit, os.Getenv("GOMEMLIMIT"), set}
}

// newMemory decides by the memory_limiters of a configuration. Of several the
// one with the lowest soft limit counts: the process has one memory.
func newMemory(cfg *load.Config, have available, runtime goRuntime) (*memory, error) {
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
	m.fillBudget(!limited)
	return m, nil
}

// byDefault sets the limits that nobody has set.
func (m *memory) byDefault(have available) {
	if have.bytes > 0 {
		m.limit = have.bytes/100*defaultLimitPercent + have.bytes%100*defaultLimitPercent/100
		m.soft = m.limit - m.limit/5
		m.from = fmt.Sprintf("%d %% of %s %s", defaultLimitPercent, have.whose, mebibytes(have.bytes))
		return
	}
	m.warnings = append(m.warnings, fmt.Sprintf(
		"cannot determine the available memory on this system: requests in flight may hold %s, and GOMEMLIMIT is not set; a memory_limiter with limit_mib decides better", mebibytes(blindBudget)))
}

// fillBudget makes the budget of what the Go runtime may use: the soft limit, or
// the limit that somebody has given the runtime, if that is less.
func (m *memory) fillBudget(byDefault bool) {
	usable := m.soft
	if usable == 0 {
		usable = blindBudget * budgetDivisor
	}
	usable = min(usable, m.runtime.setLimit(-1))
	m.bytes = usable / budgetDivisor
	if m.capped = byDefault && m.bytes > maxDefaultBudget; m.capped {
		m.bytes = maxDefaultBudget
	}
	m.bytes = max(m.bytes, 1) // an extreme limit is no reason for none
	m.budget = admission.New(admission.Config{
		Bytes:      m.bytes,
		MaxWaiting: int(min(max(m.bytes/bytesPerWaiting, minWaiting), admission.DefaultMaxWaiting)),
	})
}

// limitsOf bounds what a memory_limiter says by what there is.
func (m *memory) limitsOf(c *load.Component, have available) (limit, soft int64) {
	limit, soft = c.Config.(component.MemoryLimiter).Limits(have.bytes)
	if have.bytes == 0 || limit <= have.bytes {
		return limit, soft
	}
	m.warnings = append(m.warnings, c.Errorf("the limit of %s is more than %s %s, which counts instead",
		mebibytes(limit), have.whose, mebibytes(have.bytes)).Error())
	return have.bytes, min(soft, have.bytes-have.bytes/5)
}

func limitText(c *load.Component, have available) string {
	if m := c.Config.(component.MemoryLimiter); m.Relative() {
		return fmt.Sprintf("%s: %d %% of %s %s", c.ID, m.Percentage(), have.whose, mebibytes(have.bytes))
	}
	return c.ID
}

// apply gives the Go runtime the soft limit, unless somebody has given it one.
// Who embeds penstock may call debug.SetMemoryLimit before Start.
func (m *memory) apply() {
	now := m.runtime.setLimit(-1) // asks
	switch {
	case m.runtime.env != "":
		m.goText = "left as the environment has it, " + m.runtime.env
	case now != math.MaxInt64:
		m.goText = "left as this program has set it, " + mebibytes(now)
	case m.soft == 0 || !m.runtime.mayBeSet:
		m.goText = "not set"
	default:
		m.goBefore, m.goSet = m.runtime.setLimit(m.soft), true
		m.goText = mebibytes(m.soft)
	}
}

// restore undoes apply, unless somebody has set another limit since.
func (m *memory) restore() {
	if m.goSet && m.runtime.setLimit(-1) == m.soft {
		m.runtime.setLimit(m.goBefore)
	}
	m.goSet = false
}

// forInFlight and forLimit are parts of what is told at start.
func (m *memory) forInFlight() string {
	if m.capped {
		return mebibytes(m.bytes) + " (the most without a memory_limiter)"
	}
	return mebibytes(m.bytes)
}

func (m *memory) forLimit() string {
	if m.limit == 0 {
		return "not known"
	}
	return fmt.Sprintf("%s (%s)", mebibytes(m.limit), m.from)
}

func (m *memory) texts() *selfobs.Memory {
	return &selfobs.Memory{InFlight: m.forInFlight(), Limit: m.forLimit(), GoLimit: m.goText}
}

// mebibytes prints n bytes in whole MiB, or KiB where that is too coarse.
func mebibytes(n int64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
