package frontend

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// export takes the request to its route's consumer. body is a buffer of bufpool
// that belongs to export from the call on. The result is the body of the response
// in protobuf (empty is plain success), or a refusal.
func (r *Request) export(ctx context.Context, body *[]byte) ([]byte, *Refusal) {
	r.Bytes = len(*body)
	r.Trim(cap(*body) + r.encoded.bytes())
	r.Client.Received = time.Now()
	ctx, op := r.front.Obs.Start(ctx, r.Route.Signal)
	out, err := r.deliver(ctx, body)
	op.End(r.Format, out, err)
	if err == nil {
		return r.notice(ctx), nil
	}
	var refused *Refusal
	if errors.As(err, &refused) {
		return nil, refused
	}
	e := pipeline.Classify(err)
	if e.Kind == pipeline.Partial {
		r.front.Rejections.Note(r.Peer.Host, r.Route.Signal, obsreport.ReasonPipeline, e.Error(), out.Refused, r.Bytes)
		return otlp.AppendPartialSuccess(nil, int64(out.Refused), r.clientText(e)), nil
	}
	return nil, refusalFor(e, r.clientText(e))
}

// notice returns the response to a request of which everything was accepted. A partial
// success of which nothing is rejected is a warning (OTLP specification, "Partial
// Success").
func (r *Request) notice(ctx context.Context) []byte {
	if r.Notice == nil || r.items > 0 {
		return nil
	}
	f, text := r.front, clip(r.Notice())
	f.Obs.Unrecognized(ctx, r.Route.Signal, r.Format)
	if f.unrecognized.First(r.Peer.Host) {
		f.Log.LogAttrs(ctx, slog.LevelWarn, "accepted a request without items, logged once for each client",
			slog.String("client", r.Peer.Host), slog.String("signal", r.Route.Signal.String()), slog.String("error", text))
	}
	return otlp.AppendPartialSuccess(nil, 0, text)
}

// deliver checks the bytes, calls the consumer and says what became of the
// items. Its error is a *Refusal or the consumer's.
func (r *Request) deliver(ctx context.Context, body *[]byte) (out obsreport.Outcome, err error) {
	defer func() { // after the Release below, which a consumer may have broken
		if p := recover(); p != nil {
			r.logPanic(ctx, p, debug.Stack())
			out, err = obsreport.Outcome{Failed: r.items}, errPanic
		}
	}()
	b, err := r.batch(body)
	if b == nil {
		r.encoded.drop()
		return obsreport.Outcome{}, err
	}
	defer func() { b.Release() }()
	r.items = b.Items()
	if inspect := r.front.Inspect; inspect != nil {
		if b, err = inspect(r, b); err != nil {
			return obsreport.Outcome{}, err
		}
	}
	if err := r.hold(ctx, b); err != nil {
		return obsreport.Outcome{Refused: r.items}, err
	}
	if !r.front.InFlight.Open() {
		return obsreport.Outcome{Refused: r.items}, ShuttingDown()
	}
	if err = r.next.Consume(ctx, b); err != nil {
		return r.failed(ctx, err)
	}
	return obsreport.Outcome{Accepted: r.items}, nil
}

// batch makes a Batch of a request's bytes, nil if there are none.
func (r *Request) batch(body *[]byte) (*pipeline.Batch, error) {
	if len(*body) == 0 {
		bufpool.Put(body)
		return nil, nil
	}
	client := r.Client // outlives the request
	buf := pipeline.BufferOf(body)
	defer buf.Release()
	b, err := pipeline.NewPooledBatchWithin(r.front.Limits, r.Route.Signal, buf, &client)
	if err != nil {
		refused := RefuseData(err)
		refused.Message += Guess(r.Format, buf.Bytes)
		if r.Route.Signal.Spec().HasDictionary {
			if older := otlp.OlderProfiles(buf.Bytes); older != "" {
				refused.Message = older + " (" + refused.Message + ")"
			}
		}
		if other := otherSignal(r.Route.Signal, buf.Bytes); other != 0 {
			refused.Message = "the body is a valid request of " + other.String() + ", not of " + r.Route.Signal.String() + " (" + refused.Message + ")"
		}
		return nil, refused
	}
	r.encoded.attach(b)
	return b, nil
}

// maxGuessBytes bounds the work for a request that is refused anyway.
const maxGuessBytes = 1 << 20

// otherSignal returns the signal of which request is valid, 0 if there is none or more
// than one, or if it is too large to try.
func otherSignal(s otlp.Signal, request []byte) (found otlp.Signal) {
	if len(request) > maxGuessBytes {
		return 0
	}
	for _, other := range otlp.Signals() {
		if other == s {
			continue
		}
		if items, err := otlp.Check(other, request); err == nil && items > 0 {
			if found != 0 {
				return 0
			}
			found = other
		}
	}
	return found
}

// hold gives the batch the request's ticket: its bytes count until it is released,
// and so does what consumers need to merge its messages.
func (r *Request) hold(ctx context.Context, b *pipeline.Batch) error {
	if r.ticket == nil {
		return nil
	}
	if n := b.MergeBytes(); n > 0 {
		if err := r.ticket.Add(ctx, n); err != nil {
			return RefuseOverload(err)
		}
	}
	b.Hold(r.ticket)
	r.ticket = nil
	return nil
}

// failed splits a request's items by the consumer's error. The panic of a processor
// is logged here, once.
func (r *Request) failed(ctx context.Context, err error) (obsreport.Outcome, error) {
	var p *pipeline.PanicError
	if errors.As(err, &p) {
		r.logPanic(ctx, p.Value, p.Stack)
		return obsreport.Outcome{Failed: r.items}, errPanic
	}
	refused := r.items
	if e := pipeline.Classify(err); e.Kind == pipeline.Partial {
		refused = int(min(max(e.Rejected, 0), int64(r.items)))
	}
	return obsreport.Outcome{Accepted: r.items - refused, Refused: refused}, err
}
