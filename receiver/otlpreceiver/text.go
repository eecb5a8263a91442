package otlpreceiver

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

const (
	// lookEvery is how often AcceptText looks at the strings of a connection's
	// requests: at the first, and then at each 64th. Looking at all would cost as
	// much as the check of the request, to learn what is seldom news.
	lookEvery = 64
	// maxToldClients bounds how many clients are remembered for having been
	// told of. Further ones are counted only.
	maxToldClients = 1024
)

// textCheck deals with strings that are not UTF-8, as the protocol wants them to
// be and protobuf decoders other than Go's insist.
type textCheck struct {
	policy TextPolicy
	obs    *obsreport.Receiver
	log    *slog.Logger

	mu   sync.Mutex
	told map[string]bool
}

func newTextCheck(p TextPolicy, obs *obsreport.Receiver, log *slog.Logger) *textCheck {
	return &textCheck{policy: p, obs: obs, log: log, told: map[string]bool{}}
}

// due says whether a connection's next request is to be looked at.
func (t *textCheck) due(c *conn) bool {
	return t.policy == RepairText || t.policy == RejectText || c.requests.Add(1)%lookEvery == 1
}

// apply returns the batch to go on with: b, or another in its place. b stays the
// caller's if there is an error, which is a *refusal.
func (t *textCheck) apply(v *visit, b *pipeline.Batch) (*pipeline.Batch, error) {
	bad := otlp.FirstInvalidUTF8(b.Signal(), b.Bytes())
	if bad == nil {
		return b, nil
	}
	t.obs.InvalidUTF8(context.Background(), b.Signal(), v.format)
	t.tell(v.conn.client, bad)
	switch t.policy {
	case RejectText:
		return b, refuseData(bad)
	case RepairText:
		return repaired(v, b)
	}
	return b, nil
}

// repaired swaps b for a batch without invalid strings.
func repaired(v *visit, b *pipeline.Batch) (*pipeline.Batch, error) {
	result, beside := otlp.RepairSpace(b.Signal(), b.Bytes())
	lent, err := v.lend(bufpool.Class(len(b.Bytes()))+beside, result)
	if err != nil {
		return b, refuseOverload(err)
	}
	*lent = otlp.RepairUTF8((*lent)[:0], b.Signal(), b.Bytes())
	buf := pipeline.BufferOf(lent)
	defer buf.Release()
	fixed := b.Derive(buf, b.Items())
	b.Release()
	v.ticket.Shrink(visitBytes + cap(*lent))
	return fixed, nil
}

func (t *textCheck) tell(client string, bad error) {
	t.mu.Lock()
	tell := !t.told[client] && len(t.told) < maxToldClients
	if tell {
		t.told[client] = true
	}
	t.mu.Unlock()
	if !tell {
		return
	}
	doing := map[TextPolicy]string{RepairText: "repairing them", RejectText: "refusing the requests"}[t.policy]
	if doing == "" {
		doing = "passing them on as they are"
	}
	t.log.Warn("a client sends strings that are not UTF-8, "+doing+"; this is told once for each client",
		slog.String("client", client), slog.Any("first", bad))
}

// refuseData is the refusal of bytes that are not a valid request.
func refuseData(err error) *refusal {
	r := &refusal{code: codes.InvalidArgument, message: err.Error(), badData: true, reason: obsreport.ReasonDecode}
	var ce *otlp.CheckError
	var je *otlp.JSONError
	switch {
	case errors.As(err, &ce):
		r.field = ce.Path
	case errors.As(err, &je):
		r.field = je.Path
	}
	return r
}
