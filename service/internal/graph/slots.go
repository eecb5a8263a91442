package graph

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// An exporterSlot is the place of an exporter in the graphs of a service. Another one
// with the same id takes its place without a change of what leads to it.
type exporterSlot struct {
	*pipeline.Switch                  // to Consume of the exporter
	sender           *pipeline.Switch // to Sender of its queue; nil: it has none
	observer         atomic.Pointer[component.QueueObserver]
}

func newExporterSlot(e component.Exporter) *exporterSlot {
	s := &exporterSlot{Switch: pipeline.NewSwitch(e)}
	if q := queueOf(e); q != nil {
		s.sender = pipeline.NewSwitch(q.Sender)
		s.observer.Store(&q.Observer)
	}
	return s
}

// hold makes senders wait for turn, and returns what leads to the exporter.
func (s *exporterSlot) hold() []*pipeline.Turned {
	old := []*pipeline.Turned{s.Hold()}
	if s.sender != nil {
		old = append(old, s.sender.Hold())
	}
	return old
}

// turn puts an exporter into the slot, and returns what leads to the one before.
func (s *exporterSlot) turn(e component.Exporter) []*pipeline.Turned {
	old := []*pipeline.Turned{s.Turn(e)}
	if q := queueOf(e); q != nil && s.sender != nil {
		old = append(old, s.sender.Turn(q.Sender))
		s.observer.Store(&q.Observer)
	}
	return old
}

// queue returns how the batches of an exporter wait, for a queue that outlives the
// exporter; nil if it has none.
func (s *exporterSlot) queue(e component.Exporter) *component.Queue {
	q := queueOf(e)
	if q == nil || s.sender == nil {
		return q
	}
	through := *q
	through.Sender, through.Observer = s.sender, s
	return &through
}

// Attempt implements component.QueueObserver.
func (s *exporterSlot) Attempt(ctx context.Context, signal otlp.Signal, refusal *pipeline.Error) {
	(*s.observer.Load()).Attempt(ctx, signal, refusal)
}

// Outcome implements component.QueueObserver.
func (s *exporterSlot) Outcome(ctx context.Context, signal otlp.Signal, items, failed int, refusal *pipeline.Error) {
	(*s.observer.Load()).Outcome(ctx, signal, items, failed, refusal)
}

// A queueSlot is the place of the queue of a pipeline with a storage.
//
// A queue on disk has to be closed before the next one can open its files. Meanwhile
// senders wait.
type queueSlot struct{ *pipeline.Switch }

// errMoved is the answer of a queue that is being closed for the next one in its slot.
var errMoved = errors.New("the queue has moved")

// Consume passes a batch on to the queue, or the next one.
func (s queueSlot) Consume(ctx context.Context, b *pipeline.Batch) error {
	for {
		if err := s.Switch.Consume(ctx, b); err == nil || !errors.Is(err, errMoved) {
			return err
		}
	}
}

// recordRefused keeps what a branch has refused in the dead letters.
func (s queueSlot) recordRefused(ctx context.Context, b *pipeline.Batch, branch string, why error) error {
	return s.Do(ctx, b, func(c pipeline.Consumer) error { return c.(refusalRecorder).recordRefused(ctx, b, branch, why) })
}

// refusalRecorder is what a queueSlot leads to: a queue, or a moved one.
type refusalRecorder interface {
	recordRefused(ctx context.Context, b *pipeline.Batch, branch string, why error) error
}

// moved is where the exporters of a queue are now, in the slot of that queue.
type moved struct {
	pipeline.Consumer
	queues []queueSlot
}

// recordRefused keeps what a branch has refused in the dead letters of one of the queues.
func (m moved) recordRefused(ctx context.Context, b *pipeline.Batch, branch string, why error) error {
	return recordInOne(ctx, m.queues, b, branch, why)
}

// recordInOne keeps what a branch has refused in the first dead letters that take it.
func recordInOne(ctx context.Context, queues []queueSlot, b *pipeline.Batch, branch string, why error) error {
	err := errNoDeadLetters
	for _, q := range queues {
		if err = q.recordRefused(ctx, b, branch, why); err == nil {
			break
		}
	}
	return err
}

var _ delivery.Observer = (*exporterSlot)(nil)
