package amplify

import (
	"context"
	"runtime"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

const (
	// slackBytes is what a component may allocate for any request without charging it.
	slackBytes = 512 << 10
	// garbageRatio allows for garbage: memory that moved is allocated twice, and charged
	// twice only while it moves.
	garbageRatio = 2
)

// Weight is the memory that a component needed for a request, in bytes.
type Weight struct {
	Allocated int64 // all together
	Charged   int64 // at most at a time, beside the request itself
	Left      int64 // still charged when the request was gone
	// Err is the error of the component.
	Err error
}

// Excess returns how much more was allocated than what was charged accounts for; it is
// not above zero for a component that charges what it makes of a request.
func (w Weight) Excess() int64 { return w.Allocated - garbageRatio*w.Charged - slackBytes }

// Weigh consumes a request and compares what is allocated with what is charged. ok is
// false if the request is not valid. Nothing else may run.
func Weigh(ctx context.Context, c pipeline.Consumer, s otlp.Signal, body []byte) (w Weight, ok bool) {
	budget := admission.New(admission.Config{Bytes: 1 << 32})
	ticket, err := budget.Acquire(ctx, "", 0)
	if err != nil {
		return w, false
	}
	b, err := pooled(s, body)
	if err != nil {
		ticket.Release()
		return w, false
	}
	merging := b.MergeBytes()
	held := cap(b.Bytes()) + merging
	if err := ticket.Reserve(held); err != nil {
		b.Release()
		ticket.Release()
		return w, false
	}
	b.Hold(ticket)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w.Err = c.Consume(ctx, b)
	runtime.ReadMemStats(&after)
	b.Release()
	stats := budget.Stats()
	w.Allocated = int64(after.TotalAlloc - before.TotalAlloc)
	w.Charged = stats.Peak - int64(held) + int64(merging)
	w.Left = stats.Used
	return w, true
}

// pooled returns a batch of a copy of the request.
func pooled(s otlp.Signal, body []byte) (*pipeline.Batch, error) {
	buf := pipeline.NewBuffer(len(body))
	defer buf.Release()
	buf.Bytes = append(buf.Bytes, body...)
	return pipeline.NewPooledBatch(s, buf, nil)
}
