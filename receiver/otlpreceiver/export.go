package otlpreceiver

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// intake is where the requests of one signal go.
type intake struct {
	signal otlp.Signal
	next   pipeline.Consumer // nil where no pipeline is
}

// errPanic is what a client hears of a panic. The log has the rest.
var errPanic = pipeline.Permanently(errors.New("internal error while the request was processed"))

// export takes the request to the consumer. lent is a buffer of bufpool with the
// request in protobuf; it belongs to export from the call on. The result is the
// body of the response in protobuf (empty is plain success), or a refusal.
func (v *visit) export(ctx context.Context, lent *[]byte) ([]byte, *refusal) {
	v.bytes = len(*lent)
	v.ticket.Shrink(visitBytes + cap(*lent))
	v.client.Received = time.Now()
	ctx, op := v.obs.Start(ctx, v.in.signal)
	out, err := v.deliver(ctx, lent)
	op.End(v.format, out, err)
	if err == nil {
		return nil, nil
	}
	var r *refusal
	if errors.As(err, &r) {
		return nil, r
	}
	e := pipeline.Classify(err)
	if e.Kind == pipeline.Partial {
		return otlp.AppendPartialSuccess(nil, int64(out.Refused), clip(e.Error())), nil
	}
	return nil, refusalFor(e)
}

// deliver checks the bytes, calls the consumer and says what became of the
// items. Its error is a *refusal or the consumer's.
func (v *visit) deliver(ctx context.Context, lent *[]byte) (out obsreport.Outcome, err error) {
	defer func() { // after the Release below, which a consumer may have broken
		if p := recover(); p != nil {
			v.tellOfPanic(ctx, p, debug.Stack())
			out, err = obsreport.Outcome{Failed: v.items}, errPanic
		}
	}()
	b, err := v.batch(lent)
	if b == nil {
		return obsreport.Outcome{}, err
	}
	defer func() { b.Release() }()
	v.items = b.Items()
	if v.text.due(v.conn) {
		if b, err = v.text.apply(v, b); err != nil {
			return obsreport.Outcome{}, err
		}
	}
	v.hold(b)
	if !v.gate.isOpen() {
		return obsreport.Outcome{Refused: v.items}, errShuttingDown()
	}
	err = v.in.next.Consume(ctx, b)
	var p *pipeline.PanicError
	if errors.As(err, &p) {
		v.tellOfPanic(ctx, p.Value, p.Stack)
		return obsreport.Outcome{Failed: v.items}, errPanic
	}
	return outcome(v.items, err)
}

// batch makes a Batch of a request's bytes, nil if there are none.
func (v *visit) batch(lent *[]byte) (*pipeline.Batch, error) {
	if len(*lent) == 0 {
		bufpool.Put(lent)
		return nil, nil
	}
	client := v.client // outlives the visit
	buf := pipeline.BufferOf(lent)
	defer buf.Release()
	b, err := pipeline.NewPooledBatch(v.in.signal, buf, &client)
	if err != nil {
		r := refuseData(err)
		if v.in.signal.Spec().HasDictionary {
			if older := otlp.OlderProfiles(buf.Bytes); older != "" {
				r.message = older + " (" + r.message + ")"
			}
		}
		return nil, r
	}
	return b, nil
}

// hold gives the batch the visit's ticket: its bytes count until it is released.
func (v *visit) hold(b *pipeline.Batch) {
	if v.ticket != nil {
		b.Hold(v.ticket)
		v.ticket = nil
	}
}

// outcome splits a request's items by the consumer's answer.
func outcome(items int, err error) (obsreport.Outcome, error) {
	if err == nil {
		return obsreport.Outcome{Accepted: items}, nil
	}
	refused := items
	if e := pipeline.Classify(err); e.Kind == pipeline.Partial {
		refused = int(min(max(e.Rejected, 0), int64(items)))
	}
	return obsreport.Outcome{Accepted: items - refused, Refused: refused}, err
}

func errShuttingDown() *refusal {
	return &refusal{code: codes.Unavailable, message: "the receiver is shutting down", reason: obsreport.ReasonShutdown}
}
