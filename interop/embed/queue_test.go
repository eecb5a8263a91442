package embed

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// queued is a program's own durable queue, on the public packages alone.
type queued struct {
	journal     *journal.Journal
	letters     *delivery.DeadLetters
	log         *delivery.Log
	destination *delivery.Destination
}

func openQueue(dir string, send pipeline.Consumer) (q queued, err error) {
	if q.journal, err = journal.Open(filepath.Join(dir, "queue"), journal.Options{MaxBytes: 64 << 20, ReserveBytes: -1}); err != nil {
		return q, err
	}
	if q.letters, err = delivery.OpenDeadLetters(filepath.Join(dir, "dead-letters"), nil); err != nil {
		return q, errors.Join(err, q.journal.Close())
	}
	q.log = delivery.NewLog(q.journal, record.Keep{})
	q.destination, err = q.log.Destination(delivery.DestinationConfig{
		Name: "logs/mine", Signal: otlp.Logs, Next: send, InitialBackoff: 10 * time.Millisecond, DeadLetters: q.letters.Add,
	})
	if err == nil {
		q.destination.Start()
	}
	return q, err
}

func (q queued) close(ctx context.Context) error {
	return errors.Join(q.destination.Shutdown(ctx), q.journal.Close(), q.letters.Close())
}

// A program keeps requests while its destination is down, and sends them after a restart.
func TestQueueOfAProgram(t *testing.T) {
	request, err := proto.Marshal(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{{SeverityText: "INFO"}, {SeverityText: "WARN"}}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	down := pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { return errors.New("down") })
	q, err := openQueue(dir, down)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		b, err := pipeline.NewBatch(otlp.Logs, request, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.log.Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
	if l := q.destination.Ledger(); l.Accepted != 20 || l.Held != 20 {
		t.Errorf("while it is down: %+v", l)
	}
	if err := q.close(t.Context()); err != nil {
		t.Fatal(err)
	}

	arrived := make(chan int, 100)
	q, err = openQueue(dir, pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
		arrived <- b.Items()
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for items := 0; items < 20; {
		select {
		case n := <-arrived:
			items += n
		case <-time.After(20 * time.Second):
			t.Fatalf("%d of 20 items arrived", items)
		}
	}
	if err := q.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l := q.destination.Ledger(); l.Delivered != 20 || l.Held != 0 {
		t.Errorf("at the end: %+v", l)
	}
}
