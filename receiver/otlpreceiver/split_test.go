package otlpreceiver

import (
	"bytes"
	"context"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// splitBody is a logs request with a body of n bytes in two parts.
func splitBody(n int) []byte {
	value := wire.AppendBytes(nil, otlpfield.AnyValueArrayValue, "")
	text := wire.AppendBytes(nil, otlpfield.AnyValueStringValue, bytes.Repeat([]byte("x"), n))
	value = wire.AppendBytes(value, otlpfield.AnyValueArrayValue, wire.AppendBytes(nil, otlpfield.ArrayValueValues, text))
	record := wire.AppendBytes(nil, otlpfield.LogRecordBody, value)
	scope := wire.AppendBytes(nil, otlpfield.ScopeXItems, record)
	return wire.AppendBytes(nil, otlpfield.RequestResources, wire.AppendBytes(nil, otlpfield.ResourceXScopes, scope))
}

// A message in parts is merged each time that it is read: the request holds the memory
// for that from the beginning, and is refused if there is none.
func TestSplitMessagesHoldWhatMergingTakes(t *testing.T) {
	t.Parallel()
	const size = 100 << 10
	body := splitBody(size)
	for _, way := range ways[:4] { // JSON has no parts
		for budget, ok := range map[int64]bool{4 << 20: true, 4 * size: false} {
			r := newRigWith(t, testConfig(), setup{budget: admission.New(admission.Config{Bytes: budget})})
			held := int64(0)
			r.sink.Respond(func(_ context.Context, b *pipeline.Batch) error {
				held = r.budget.Stats().Used
				return nil
			})
			a := way.send(r, body)
			if a.ok() != ok || !ok && codes.Code(a.status.Code) != codes.ResourceExhausted {
				t.Errorf("%s with a budget of %d: %v", way.name, budget, a.status)
			}
			if ok && held < size*(1+otlp.MergeFactor) {
				t.Errorf("%s: %d bytes were held for a body of %d that has to be merged", way.name, held, size)
			}
			r.idle()
		}
	}
}
