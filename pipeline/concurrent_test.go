package pipeline_test

import (
	"context"
	"errors"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

type branch struct {
	name string
	pipeline.Consumer
}

func (b branch) Name() string { return b.name }

// Each consumer has the batch although another waits, and the error has what each of
// them answered, as that of a Fanout has.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	waits := pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { <-release; return nil })
	takes := pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { close(arrived); return nil })
	refuses := pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error {
		return &pipeline.Error{Kind: pipeline.Overloaded, Err: errors.New("busy")}
	})
	panics := pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { panic("broken") })
	b := testkit.PooledBatch(t, otlp.Logs, []byte{}, nil)
	defer b.Release()
	done := make(chan error)
	go func() {
		done <- pipeline.Concurrent(branch{"waits", waits}, branch{"takes", takes}, branch{"refuses", refuses}, branch{"panics", panics}).Consume(t.Context(), b)
	}()
	<-arrived
	select {
	case err := <-done:
		t.Errorf("it returned %v before all consumers have", err)
	default:
	}
	close(release)
	err := <-done
	var failed *pipeline.FanoutError
	var panicked *pipeline.PanicError
	if !errors.As(err, &failed) || !errors.As(err, &panicked) || len(failed.Failed) != 2 || failed.Branches != 4 || failed.Failed[0].Branch != "refuses" || failed.Failed[1].Branch != "panics" {
		t.Errorf("got %v", err)
	}
	one := pipeline.Concurrent(refuses)
	if e := pipeline.Classify(one.Consume(t.Context(), b)); e == nil || e.Kind != pipeline.Overloaded {
		t.Errorf("a single consumer: %v", e)
	}
}
