package ship

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// lossEvery is how often a loss of one signal for one reason is told at most.
const lossEvery = time.Minute

// loss is what was dropped for one reason and not told yet.
type loss struct {
	told             time.Time // when it was told last; zero: never
	events, requests int64
	cause            error // of the latest; may be nil
}

func (l *loss) note(events int64, cause error) {
	l.events += events
	l.requests++
	l.cause = cause
}

// line is a loss to be told.
type line struct {
	signal otlp.Signal
	why    Reason
	loss
}

// TellLosses logs what was dropped and is due to be told.
func (s *Shipper) TellLosses() { s.tellLosses(false) }

// tellLosses logs what was dropped: the first of each reason at once, later ones
// once a minute together; all that is left if last. It holds no lock while it
// logs. In sum the lines tell of every event.
func (s *Shipper) tellLosses(last bool) {
	for _, l := range s.dueLosses(last) {
		attrs := []any{slog.String("signal", l.signal.String()), slog.String("reason", l.why.String()),
			slog.Int64("events", l.events), slog.Int64("requests", l.requests)}
		if l.cause != nil {
			attrs = append(attrs, slog.Any("error", l.cause))
		}
		if hint := hintFor(l.signal, l.cause); hint != "" {
			attrs = append(attrs, slog.String("hint", hint))
		}
		s.cfg.Logger.Warn("events were dropped (told at most once in "+lossEvery.String()+" for each reason)", attrs...)
	}
}

func (s *Shipper) dueLosses(last bool) (due []line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for row := range s.books {
		for why := range s.books[row].losses {
			l := &s.books[row].losses[why]
			if l.events == 0 || !last && !l.told.IsZero() && now.Sub(l.told) < lossEvery {
				continue
			}
			due = append(due, line{otlp.Signal(row), Reason(why), *l})
			*l = loss{told: now}
		}
	}
	return due
}

// hintFor says what an operator can do about a destination that does not know
// the signal at all.
func hintFor(signal otlp.Signal, cause error) string {
	var e *pipeline.Error
	if !errors.As(cause, &e) || codes.Code(e.Code) != codes.Unimplemented {
		return ""
	}
	return fmt.Sprintf("the destination does not take %s: is the %[1]s signal switched on there?", signal)
}
