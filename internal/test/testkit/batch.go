package testkit

import (
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// PooledBatch returns a batch over a copy of request in a pooled buffer, as a
// receiver makes it: what reads it after its release reads other bytes. client
// may be nil. The caller releases the batch.
func PooledBatch(t testing.TB, s otlp.Signal, request []byte, client *pipeline.Client) *pipeline.Batch {
	t.Helper()
	buf := pipeline.NewBuffer(len(request))
	defer buf.Release()
	buf.Bytes = append(buf.Bytes, request...)
	b, err := pipeline.NewPooledBatch(s, buf, client)
	if err != nil {
		t.Fatalf("make a batch of %s: %v", s, err)
	}
	return b
}
