package otlpreceiver

import (
	"context"
	"log/slog"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

const (
	// inspectEvery is how often AcceptText looks at the strings of a connection's
	// requests: at the first, and then at each 64th. Looking at all would cost as
	// much as the check of the request, and the strings of one client are mostly alike.
	inspectEvery = 64
)

// textCheck deals with strings that are not UTF-8, as the protocol wants them to
// be and protobuf decoders other than Go's insist.
type textCheck struct {
	policy TextPolicy
	obs    *obsreport.Receiver
	log    *slog.Logger
	logged frontend.Once
}

func newTextCheck(p TextPolicy, obs *obsreport.Receiver, log *slog.Logger) *textCheck {
	return &textCheck{policy: p, obs: obs, log: log}
}

// inspect is frontend.Options.Inspect. Its error is a refusal.
func (t *textCheck) inspect(r *frontend.Request, b *pipeline.Batch) (*pipeline.Batch, error) {
	if t.policy != RepairText && t.policy != RejectText && r.Peer.Requests.Add(1)%inspectEvery != 1 {
		return b, nil
	}
	bad := otlp.FirstInvalidUTF8(b.Signal(), b.Bytes())
	if bad == nil {
		return b, nil
	}
	t.obs.InvalidUTF8(context.Background(), b.Signal(), r.Format)
	t.logOnce(r.Peer.Host, bad)
	switch t.policy {
	case RejectText:
		return b, frontend.RefuseData(bad)
	case RepairText:
		return repaired(r, b)
	}
	return b, nil
}

// repaired swaps b for a batch without invalid strings.
func repaired(r *frontend.Request, b *pipeline.Batch) (*pipeline.Batch, error) {
	result, beside := otlp.RepairSpace(b.Signal(), b.Bytes())
	mem, err := r.GetBuffer(bufpool.Class(len(b.Bytes()))+cap(b.Encoded().Bytes)+beside, result)
	if err != nil {
		return b, frontend.RefuseOverload(err)
	}
	*mem = otlp.RepairUTF8((*mem)[:0], b.Signal(), b.Bytes())
	buf := pipeline.BufferOf(mem)
	defer buf.Release()
	fixed := b.Derive(buf, b.Items())
	b.Release()
	r.Trim(cap(*mem))
	return fixed, nil
}

func (t *textCheck) logOnce(client string, bad error) {
	if !t.logged.First(client) {
		return
	}
	doing := map[TextPolicy]string{RepairText: "repairing them", RejectText: "refusing the requests"}[t.policy]
	if doing == "" {
		doing = "passing them on as they are"
	}
	t.log.Warn("a client sends strings that are not UTF-8, "+doing+"; logged once for each client",
		slog.String("client", client), slog.Any("first", bad))
}
