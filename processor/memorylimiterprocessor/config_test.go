package memorylimiterprocessor

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func decode(t *testing.T, text string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, text, &cfg)
	return cfg, err
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for text, want := range map[string]struct{ hard, soft int64 }{
		"{check_interval: 1s, limit_mib: 400, spike_limit_mib: 100}":                  {400 * mib, 300 * mib},
		"{check_interval: 1s, limit_mib: 400}":                                        {400 * mib, 320 * mib},
		"{check_interval: 1s, limit_mib: 4294967295}":                                 {4294967295 * mib, 4294967295*mib - 4294967295*mib/5},
		"{check_interval: 1s, limit_mib: 400, limit_percentage: 10}":                  {400 * mib, 320 * mib},
		"{check_interval: 1s, limit_percentage: 80, spike_limit_percentage: 25}":      {800 * mib, 550 * mib},
		"{check_interval: 1s, limit_percentage: 50}":                                  {500 * mib, 400 * mib},
		"{check_interval: 1s, limit_percentage: 100}":                                 {1000 * mib, 800 * mib},
		"{check_interval: 1s, limit_percentage: 50, spike_limit_mib: 100}":            {500 * mib, 400 * mib},
		"{check_interval: 0.1s, limit_mib: 5, min_gc_interval_when_soft_limited: 0s}": {5 * mib, 4 * mib},
	} {
		cfg, err := decode(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if hard, soft := cfg.Limits(1000 * mib); hard != want.hard || soft != want.soft {
			t.Errorf("%s: %d and %d, want %d and %d", text, hard, soft, want.hard, want.soft)
		}
	}
	whole := Config{LimitPercentage: 100}
	if hard, _ := whole.Limits(1<<63 - 1); hard != 1<<63-1 {
		t.Errorf("100 %% of the largest int64 is %d", hard)
	}
}

func TestConfigErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{limit_mib: 400}":                                                         "check_interval: expected a time greater than 0, such as 1s, found 0s",
		"{limit_mib: 400, check_interval: -1s}":                                    "check_interval: expected a time greater than 0",
		"{check_interval: 1s}":                                                     "limit_mib: expected limit_mib or limit_percentage, found neither",
		"{check_interval: 1s, limit_mib: 400, spike_limit_mib: 400}":               "1:55: spike_limit_mib: expected less than limit_mib, which is 400, found 400",
		"{check_interval: 1s, limit_percentage: 50, spike_limit_percentage: 60}":   "spike_limit_percentage: expected less than limit_percentage, which is 50, found 60",
		"{check_interval: 1s, limit_percentage: 101}":                              "limit_percentage: expected 100 or less, found 101",
		"{check_interval: 1s, limit_percentage: 102, spike_limit_percentage: 101}": "spike_limit_percentage: expected 100 or less, found 101",
		"{check_interval: 1s, limit_mib: -1}":                                      "limit_mib: expected",
		"{check_interval: 1s, limit_mb: 400}":                                      `unknown key, did you mean "limit_mib"?`,
	} {
		cfg, err := decode(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
		if strings.Contains(text, "-1}") || strings.Contains(text, "limit_mb") {
			continue // these are errors of the decoder
		}
		if _, err := New(cfg, component.Settings{}); err == nil {
			t.Errorf("New accepts %s", text)
		}
	}
}

func TestWarningsNameIneffectiveKeys(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"{check_interval: 1s, limit_mib: 400, spike_limit_mib: 100}":             nil,
		"{check_interval: 1s, limit_percentage: 80, spike_limit_percentage: 25}": nil,
		"{check_interval: 1s, limit_mib: 400, limit_percentage: 80, spike_limit_percentage: 20}": {
			"limit_percentage has no effect: limit_mib takes precedence",
			"spike_limit_percentage has no effect: it belongs to limit_percentage, and limit_mib takes precedence",
		},
		"{check_interval: 1s, limit_percentage: 80, spike_limit_mib: 20, min_gc_interval_when_soft_limited: 10s, max_gc_interval_when_hard_limited: 1m}": {
			"spike_limit_mib has no effect: it belongs to limit_mib, which is not set",
			"min_gc_interval_when_soft_limited has no effect: penstock does not force garbage collections; the Go runtime collects according to GOMEMLIMIT",
			"max_gc_interval_when_hard_limited has no effect: penstock does not force garbage collections; the Go runtime collects according to GOMEMLIMIT",
		},
		"{check_interval: 1s, limit_mib: 9, min_gc_interval_when_hard_limited: 1s, max_gc_interval_when_soft_limited: 1s}": {
			"min_gc_interval_when_hard_limited has no effect: penstock does not force garbage collections; the Go runtime collects according to GOMEMLIMIT",
			"max_gc_interval_when_soft_limited has no effect: penstock does not force garbage collections; the Go runtime collects according to GOMEMLIMIT",
		},
	} {
		cfg, err := decode(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, cfg.Warnings()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
