package debugexporter

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestJSONFormat(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Format, cfg.UseInternalLogger = JSON, false
	e, err := New(cfg, component.Settings{ID: "debug"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	e.stdout = &out
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	var want []string
	for _, s := range otlp.Signals() {
		request := testkit.Request(rng, s, 5)
		want = append(want, string(otlp.AppendJSON(nil, s, request)))
		b, err := pipeline.NewBatch(s, request, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
	if got := strings.Join(want, "\n") + "\n"; out.String() != got {
		t.Errorf("shown:\n%s\nwant:\n%s", out.String(), got)
	}
	if err := e.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	cfg.UseInternalLogger = true
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "format: json needs use_internal_logger: false") {
		t.Errorf("JSON in the log: %v", err)
	}
	cfg.Format = "yaml"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), `unknown format "yaml", expected text or json`) {
		t.Errorf("yaml: %v", err)
	}
}
