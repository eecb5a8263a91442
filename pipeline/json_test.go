package pipeline

import (
	"context"
	"errors"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// A text ends with its context, once it needs more memory than it began with.
func TestJSONEndsWithItsContext(t *testing.T) {
	t.Parallel()
	text := make([]byte, 1<<20) // zeros, each of which becomes six characters
	record := wire.AppendBytes(nil, otlpfield.LogRecordBody, wire.AppendBytes(nil, otlpfield.AnyValueStringValue, text))
	request := wire.AppendBytes(nil, otlpfield.RequestResources, wire.AppendBytes(nil, otlpfield.ResourceXScopes, wire.AppendBytes(nil, otlpfield.ScopeXItems, record)))
	b, err := NewBatch(otlp.Logs, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	buf, err := b.JSON(ctx)
	if err == nil {
		buf.Release()
	}
	if !errors.Is(err, gone) {
		t.Errorf("%v, want the cause of the context", err)
	}
}
