package selfobs

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// Lines with the same level and message are sampled in each tick, others are not.
func TestSampling(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cfg := decode(t, "{logs: {sampling: {initial: 2, thereafter: 3}}}").Logs
	h := newSampler(*cfg.Sampling, newConsoleHandler(&out, slog.LevelDebug, false, false)).WithAttrs([]slog.Attr{slog.Int("a", 1)}).WithGroup("g")
	from := time.Now()
	log := func(after time.Duration, level slog.Level, message string, n int) {
		r := slog.NewRecord(from.Add(after), level, message, 0)
		r.AddAttrs(slog.Int("n", n))
		if err := h.Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 9 {
		log(0, slog.LevelInfo, "often", n)
	}
	log(0, slog.LevelWarn, "often", 100)
	log(0, slog.LevelInfo, "once", 200)
	log(10*time.Second, slog.LevelInfo, "often", 300) // a new tick
	var got []string
	for line := range strings.Lines(out.String()) {
		var n int
		if _, err := fmt.Sscanf(line[strings.Index(line, "g.n="):], "g.n=%d", &n); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got = append(got, fmt.Sprint(n))
	}
	if want := "0 1 4 7 100 200 300"; strings.Join(got, " ") != want {
		t.Errorf("logged %v, want %s", got, want)
	}
}

// The section is off without the key, and has the Collector's defaults with it.
func TestSamplingDefaults(t *testing.T) {
	t.Parallel()
	if cfg := decode(t, "{logs: {level: info}}"); cfg.Logs.Sampling != nil {
		t.Errorf("sampling %+v without the key", cfg.Logs.Sampling)
	}
	if cfg := decode(t, "{logs: {sampling: {enabled: false, initial: 1}}}"); cfg.Logs.Sampling != nil {
		t.Errorf("sampling %+v with enabled: false", cfg.Logs.Sampling)
	}
	cfg := decode(t, "{logs: {sampling: {initial: 5}}}")
	if s := cfg.Logs.Sampling; s == nil || *s != (SamplingConfig{10 * time.Second, 5, 100}) {
		t.Errorf("got %+v", s)
	}
	logging := NewLogging(cfg.Logs, nil, Outputs{Stderr: &bytes.Buffer{}})
	if _, ok := logging.now.full.(*sampler); !ok {
		t.Errorf("the log has the handler %T, want a sampler", logging.now.full)
	}
}
