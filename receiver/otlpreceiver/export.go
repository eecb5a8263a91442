package otlpreceiver

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// intake takes the requests of one signal over one transport. It is where bytes
// become a Batch; what comes before differs by transport, what comes after
// does not.
type intake struct {
	signal otlp.Signal
	next   pipeline.Consumer
	obs    *obsreport.Receiver
	gate   *gate
	log    *slog.Logger
}

// errPanic is what a client hears of a panic. The log has the rest.
var errPanic = pipeline.Permanently(errors.New("internal error while the request was processed"))

// export takes one request to the consumer. lent is a buffer of bufpool that
// belongs to export from the call on. The result is the body of the response in
// protobuf (empty is plain success), or a refusal.
func (in *intake) export(ctx context.Context, lent *[]byte, client *pipeline.Client) ([]byte, *refusal) {
	ctx, op := in.obs.Start(ctx, in.signal)
	out, err := in.deliver(ctx, lent, client)
	op.End(client.Format, out, err)
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
func (in *intake) deliver(ctx context.Context, lent *[]byte, client *pipeline.Client) (out obsreport.Outcome, err error) {
	items := 0
	defer func() { // after the Release below, which a consumer may have broken
		if p := recover(); p != nil {
			in.log.LogAttrs(ctx, slog.LevelError, "panic while a request was processed",
				slog.String("signal", in.signal.String()), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			out, err = obsreport.Outcome{Failed: items}, errPanic
		}
	}()
	if len(*lent) == 0 {
		bufpool.Put(lent)
		return obsreport.Outcome{}, nil
	}
	b, err := pipeline.NewPooledBatch(in.signal, lent, client)
	if err != nil {
		return obsreport.Outcome{}, refuseData(err)
	}
	defer b.Release()
	items = b.Items()
	if !in.gate.isOpen() {
		return obsreport.Outcome{Refused: items}, errShuttingDown()
	}
	return outcome(items, in.next.Consume(ctx, b))
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
	return &refusal{code: codes.Unavailable, message: "the receiver is shutting down"}
}
