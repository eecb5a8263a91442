package testkit

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { Main(m) }

func passed() int { return 0 }

// These two leak on purpose, so they must not run in parallel with others.

func TestVerdictOnABatch(t *testing.T) {
	b := batchOf(t, 1, nil)
	defer b.Release()
	var out strings.Builder
	if code := verdict(passed, &out, time.Millisecond); code == 0 || !strings.Contains(out.String(), "1 batches were not released") {
		t.Errorf("code %d, it says %q", code, &out)
	}
	if stacks := pipeline.LiveStacks(); stacks != nil && !strings.Contains(out.String(), "batchOf") {
		t.Errorf("it does not say where the batch was made: %q", &out)
	}
}

func TestVerdictOnAGoroutine(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	go leakOf(stop)
	var out strings.Builder
	if code := verdict(passed, &out, time.Millisecond); code == 0 || !strings.Contains(out.String(), "leakOf") {
		t.Errorf("code %d, it says %q", code, &out)
	}
}

func leakOf(stop chan struct{}) { <-stop }

func TestVerdictKeepsTheCodeOfTheRun(t *testing.T) {
	if code := verdict(func() int { return 3 }, io.Discard, 0); code != 3 {
		t.Errorf("code %d, want 3", code)
	}
}
