package service

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
)

const mib = 1 << 20

func TestDetectedMemory(t *testing.T) {
	t.Parallel()
	fails := func(err error) memlimit.Provider { return func() (uint64, error) { return 0, err } }
	for name, c := range map[string]struct {
		cgroup, machine memlimit.Provider
		bytes           int64
		source          string
		warnings        int
	}{
		"cgroup below machine": {memlimit.Limit(512 * mib), memlimit.Limit(8192 * mib), 512 * mib, "the cgroup's", 0},
		"cgroup above machine": {memlimit.Limit(8193 * mib), memlimit.Limit(8192 * mib), 8192 * mib, "this machine's", 0},
		"cgroup without limit": {fails(memlimit.ErrNoLimit), memlimit.Limit(8192 * mib), 8192 * mib, "this machine's", 0},
		"no cgroup":            {fails(memlimit.ErrNoCgroup), memlimit.Limit(8192 * mib), 8192 * mib, "this machine's", 0},
		"another system":       {fails(memlimit.ErrCgroupsNotSupported), memlimit.Limit(8192 * mib), 8192 * mib, "this machine's", 0},
		"cgroup not readable":  {fails(errors.New("denied")), memlimit.Limit(8192 * mib), 8192 * mib, "this machine's", 1},
		"machine unknown":      {memlimit.Limit(512 * mib), fails(memlimit.ErrNoLimit), 512 * mib, "the cgroup's", 0},
		"both unknown":         {fails(memlimit.ErrNoLimit), fails(memlimit.ErrNoLimit), 0, "", 0},
		"overflow":             {memlimit.Limit(math.MaxUint64), fails(memlimit.ErrNoLimit), math.MaxInt64, "the cgroup's", 0},
	} {
		a := detectedMemory(c.cgroup, c.machine)
		if a.bytes != c.bytes || a.source != c.source || len(a.warnings) != c.warnings {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if here := detectMemory(); here.bytes < 16*mib || len(here.warnings) > 0 {
		t.Errorf("here: %+v", here)
	}
}

// limiters is a pipeline with these memory_limiters.
func limiters(yaml ...string) string {
	const tail = `
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], processors: [`
	text := "yaml:receivers: {otlp: {protocols: {http: {endpoint: 'localhost:0'}}}}\nprocessors:\n"
	var ids []string
	for i, y := range yaml {
		id := "memory_limiter/" + string(rune('a'+i))
		ids = append(ids, id)
		text += "  " + id + ": {check_interval: 1s, " + y + "}\n"
	}
	return text + tail + strings.Join(ids, ", ") + "], exporters: [nop]}}}\n"
}

func TestMemoryIsDivided(t *testing.T) {
	t.Parallel()
	pod := available{bytes: 512 * mib, source: "the cgroup's"}
	for name, c := range map[string]struct {
		have                available
		limiters            []string
		limit, soft, budget int64
		line                string
		warnings            []string
	}{
		"default in a pod": {have: pod, limit: 429496729, soft: 343597384, budget: 171798692,
			line: "requests in flight 163 MiB; limit 409 MiB (80 % of the cgroup's 512 MiB); GOMEMLIMIT 327 MiB"},
		"default on a large machine": {have: available{bytes: 24 << 30, source: "this machine's"},
			limit: 20615843020, soft: 16492674416, budget: 1 << 30,
			line: "requests in flight 1024 MiB (the maximum without a memory_limiter); limit 19660 MiB (80 % of this machine's 24576 MiB); GOMEMLIMIT 15728 MiB"},
		"fixed": {have: pod, limiters: []string{"limit_mib: 400, spike_limit_mib: 100"}, limit: 400 * mib, soft: 300 * mib, budget: 150 * mib,
			line: "requests in flight 150 MiB; limit 400 MiB (memory_limiter/a); GOMEMLIMIT 300 MiB"},
		"not capped if asked for": {have: available{bytes: 24 << 30, source: "this machine's"}, limiters: []string{"limit_mib: 10000, spike_limit_mib: 2000"},
			limit: 10000 * mib, soft: 8000 * mib, budget: 4000 * mib,
			line: "requests in flight 4000 MiB; limit 10000 MiB (memory_limiter/a); GOMEMLIMIT 8000 MiB"},
		"a share": {have: pod, limiters: []string{"limit_percentage: 75, spike_limit_percentage: 25"}, limit: 384 * mib, soft: 256 * mib, budget: 128 * mib,
			line: "requests in flight 128 MiB; limit 384 MiB (memory_limiter/a: 75 % of the cgroup's 512 MiB); GOMEMLIMIT 256 MiB"},
		"the strictest": {have: pod, limiters: []string{"limit_mib: 400", "limit_mib: 300, spike_limit_mib: 10", "limit_percentage: 60"}, limit: 322122547, soft: 257698038, budget: 128849019,
			line: "requests in flight 122 MiB; limit 307 MiB (memory_limiter/c: 60 % of the cgroup's 512 MiB); GOMEMLIMIT 245 MiB"},
		"more than available": {have: pod, limiters: []string{"limit_mib: 4096, spike_limit_mib: 512"}, limit: 512 * mib, soft: 512*mib - 512*mib/5, budget: (512*mib - 512*mib/5) / 2,
			line:     "requests in flight 204 MiB; limit 512 MiB (memory_limiter/a); GOMEMLIMIT 409 MiB",
			warnings: []string{"processors.memory_limiter/a: the limit of 4096 MiB is more than the cgroup's 512 MiB; the lower value is used"}},
		"unknown": {budget: 256 * mib,
			line:     "requests in flight 256 MiB; limit unknown; GOMEMLIMIT not set",
			warnings: []string{"cannot determine the available memory on this system: requests in flight may hold 256 MiB"}},
		"unknown, but configured": {limiters: []string{"limit_mib: 100"}, limit: 100 * mib, soft: 80 * mib, budget: 40 * mib,
			line: "requests in flight 40 MiB; limit 100 MiB (memory_limiter/a); GOMEMLIMIT 80 MiB"},
		"tiny": {have: pod, limiters: []string{"limit_mib: 1"}, limit: mib, soft: mib - mib/5, budget: (mib - mib/5) / 2,
			line: "requests in flight 409 KiB; limit 1024 KiB (memory_limiter/a); GOMEMLIMIT 819 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := loadAll(limiters(c.limiters...))
			if err != nil {
				t.Fatal(err)
			}
			m, err := newMemory(cfg.loaded, c.have, goRuntime{(&fakeRuntime{limit: math.MaxInt64}).set, "", true})
			if err != nil {
				t.Fatal(err)
			}
			m.apply()
			if m.limit != c.limit || m.soft != c.soft || m.budget.Stats() != (admission.Stats{Limit: c.budget}) {
				t.Errorf("limit %d, soft %d, budget %+v", m.limit, m.soft, m.budget.Stats())
			}
			if lineOf(m) != c.line {
				t.Errorf("got  %s\nwant %s", lineOf(m), c.line)
			}
			if len(m.warnings) != len(c.warnings) {
				t.Fatalf("warnings: %q", m.warnings)
			}
			for i, w := range c.warnings {
				if !strings.Contains(m.warnings[i], w) {
					t.Errorf("got  %s\nwant %s", m.warnings[i], w)
				}
			}
		})
	}
}

// A GOMEMLIMIT below the configured limit bounds the budget too.
func TestBudgetWithinRuntimeLimit(t *testing.T) {
	t.Parallel()
	for _, yaml := range [][]string{nil, {"limit_mib: 400"}} {
		for _, have := range []available{{bytes: 512 * mib, source: "the cgroup's"}, {}} {
			cfg, err := loadAll(limiters(yaml...))
			if err != nil {
				t.Fatal(err)
			}
			m, err := newMemory(cfg.loaded, have, goRuntime{(&fakeRuntime{limit: 100 * mib}).set, "100MiB", true})
			if err != nil {
				t.Fatal(err)
			}
			if got := m.budget.Stats().Limit; got != 50*mib {
				t.Errorf("%q of %d: %d", yaml, have.bytes, got)
			}
		}
	}
}

func TestUnknownMemory(t *testing.T) {
	t.Parallel()
	cfg, err := loadAll(limiters("limit_mib: 100", "limit_percentage: 50"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = newMemory(cfg.loaded, available{}, thisRuntime(true))
	var placed ConfigErrors
	if !errors.As(err, &placed) || !strings.Contains(err.Error(), ":4:3: processors.memory_limiter/b: limit_percentage: cannot determine the available memory") {
		t.Errorf("got %v", err)
	}
}

func TestMemoryLimitersThatDiffer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limiters []string
		want     string
	}{
		"one":          {[]string{"limit_mib: 100"}, ""},
		"the same":     {[]string{"limit_mib: 100", "limit_mib: 100"}, ""},
		"other limits": {[]string{"limit_mib: 100", "limit_mib: 100", "limit_mib: 100, spike_limit_mib: 30"}, ":5:3: processors.memory_limiter/c: its limits differ from those of processors.memory_limiter/a; the memory is shared by the whole process, so the strictest limits apply"},
	} {
		cfg, err := loadAll(limiters(c.limiters...))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(cfg.Warnings(), "\n")
		if c.want == "" && got != "" || !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestMemoryLimiterErrorsHavePositions(t *testing.T) {
	t.Parallel()
	_, err := loadAll(limiters("limit_mib: 100, spike_limit_mib: 200"))
	if err == nil || !strings.Contains(err.Error(), ":3:75: processors.memory_limiter/a.spike_limit_mib: expected less than limit_mib") {
		t.Errorf("got %v", err)
	}
}

// The extension limits the memory without a processor.
func TestMemoryLimiterExtension(t *testing.T) {
	t.Parallel()
	cfg, err := loadAll(`yaml:
receivers: {otlp: {protocols: {http: {endpoint: "localhost:0"}}}}
extensions: {memory_limiter: {check_interval: 1s, limit_mib: 100}}
exporters: {nop: }
service:
  extensions: [memory_limiter]
  pipelines: {traces: {receivers: [otlp], exporters: [nop]}}
`)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMemory(cfg.loaded, available{bytes: 512 * mib, source: "the cgroup's"}, goRuntime{(&fakeRuntime{limit: math.MaxInt64}).set, "", true})
	if err != nil {
		t.Fatal(err)
	}
	if m.from != "memory_limiter" || m.budget.Stats().Limit != 40*mib || len(cfg.Warnings()) > 0 {
		t.Errorf("%s, budget %d, warnings %q", m.from, m.budget.Stats().Limit, cfg.Warnings())
	}
}

// fakeRuntime stands for debug.SetMemoryLimit.
type fakeRuntime struct{ limit int64 }

func (g *fakeRuntime) set(n int64) int64 {
	before := g.limit
	if n >= 0 {
		g.limit = n
	}
	return before
}

func TestGoMemoryLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env           string
		before        int64
		during, after int64
		text          string
	}{
		"set":                {"", math.MaxInt64, 80 * mib, math.MaxInt64, "80 MiB"},
		"of the environment": {"1GiB", 1 << 30, 1 << 30, 1 << 30, "set by the environment, 1GiB"},
		"off":                {"off", math.MaxInt64, math.MaxInt64, math.MaxInt64, "set by the environment, off"},
		"of the embedder":    {"", 50 * mib, 50 * mib, 50 * mib, "set by the embedding program, 50 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &fakeRuntime{c.before}
			m := &memory{soft: 80 * mib, runtime: goRuntime{g.set, c.env, true}}
			m.apply()
			if g.limit != c.during || m.goText != c.text {
				t.Errorf("applied: %d, %q", g.limit, m.goText)
			}
			m.restore()
			if g.limit != c.after {
				t.Errorf("restored: %d", g.limit)
			}
			m.apply()
			g.limit = 7
			m.restore()
			if g.limit != 7 {
				t.Error("a limit set by other code was changed back")
			}
		})
	}
}

// The budget of the components is the one that metrics observe.
func TestComponentsShareTheBudget(t *testing.T) {
	t.Parallel()
	f := newFakes()
	all := f.descriptors()
	budgets := map[*admission.Budget]bool{}
	for i, d := range all {
		if d.Kind == component.KindReceiver {
			all[i].Receiver = func(config any, s component.Settings) (component.Receiver, error) {
				budgets[s.Memory] = true
				return d.Receiver(config, s)
			}
		}
	}
	opts := Options{Components: all, Logger: slog.New(slog.DiscardHandler)}
	cfg, err := Load(opts, `yaml:
receivers: {in: , in/2: }
exporters: {out: }
service: {telemetry: {metrics: {address: "localhost:0"}}, pipelines: {traces: {receivers: [in, in/2], exporters: [out]}}}
`)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(budgets) != 1 || !budgets[s.process.memory.budget] || s.process.memory.budget == nil {
		t.Fatalf("%d budgets", len(budgets))
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	ticket, err := s.process.memory.budget.Acquire(t.Context(), "x", 12345)
	if err != nil {
		t.Fatal(err)
	}
	defer ticket.Release()
	if _, err := s.process.memory.budget.Acquire(t.Context(), "x", math.MaxInt); err == nil {
		t.Error("admitted")
	}
	r := &rig{Service: s, metrics: strings.TrimSuffix(s.process.metrics.URLs()[0], "/metrics")}
	_, page := r.get(t, "/metrics")
	for _, want := range []string{
		"otelcol_admission_bytes 12345", "otelcol_admission_peak_bytes 12345", "otelcol_admission_limit_bytes ",
		"otelcol_admission_waiting_requests 0", `otelcol_admission_refused_requests{reason="too_large"} 1`,
		`otelcol_admission_refused_requests{reason="full"} 0`, `otelcol_admission_refused_requests{reason="share"} 0`,
	} {
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("%s is missing", want)
		}
	}
}

// lineOf returns the log line about memory at start.
func lineOf(m *memory) string {
	t := m.texts()
	return fmt.Sprintf("requests in flight %s; limit %s; GOMEMLIMIT %s", t.InFlight, t.Limit, t.GoLimit)
}
