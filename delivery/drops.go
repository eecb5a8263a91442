package delivery

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// dropsEvery is how often drops of one signal for one reason are logged at most.
const dropsEvery = time.Minute

// drops is what was dropped for one reason and not logged yet.
type drops struct {
	logged          time.Time // when they were logged last; zero: never
	items, requests int64
	cause           error // of the latest; may be nil
}

func (d *drops) note(items int64, cause error) {
	d.items += items
	d.requests++
	d.cause = cause
}

// dropsLine is a line to be logged.
type dropsLine struct {
	signal otlp.Signal
	why    Reason
	drops
}

// LogDrops logs what was dropped and is due to be logged.
func (q *Queue) LogDrops() { q.logDrops(false) }

// logDrops logs what was dropped: the first of each reason at once, later ones once a
// minute together; all that is left if last. It holds no lock while it logs. In sum
// the lines have every item.
func (q *Queue) logDrops(last bool) {
	for _, l := range q.dueDrops(last) {
		attrs := []any{slog.String("signal", l.signal.String()), slog.String("reason", l.why.String()),
			slog.Int64("items", l.items), slog.Int64("requests", l.requests)}
		if l.cause != nil {
			attrs = append(attrs, slog.Any("error", l.cause))
		}
		var p *pipeline.PanicError
		if errors.As(l.cause, &p) { // nobody else logs it
			attrs = append(attrs, slog.Any("panic", p.Value), slog.String("stack", string(p.Stack)))
		}
		if hint := hintFor(l.signal, l.cause); hint != "" {
			attrs = append(attrs, slog.String("hint", hint))
		}
		q.cfg.Logger.Warn("items were dropped (logged at most once in "+dropsEvery.String()+" for each reason)", attrs...)
	}
}

func (q *Queue) dueDrops(last bool) (due []dropsLine) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for signal := range q.signals {
		for why := range q.signals[signal].drops {
			d := &q.signals[signal].drops[why]
			if d.items == 0 || !last && !d.logged.IsZero() && now.Sub(d.logged) < dropsEvery {
				continue
			}
			due = append(due, dropsLine{otlp.Signal(signal), Reason(why), *d})
			*d = drops{logged: now}
		}
	}
	return due
}

// hintFor says what an operator can do about a destination that does not know the
// signal at all.
func hintFor(signal otlp.Signal, cause error) string {
	var e *pipeline.Error
	if !errors.As(cause, &e) || codes.Code(e.Code) != codes.Unimplemented {
		return ""
	}
	return fmt.Sprintf("the destination does not take %s: is the %[1]s signal switched on there?", signal)
}
