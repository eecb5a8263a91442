package delivery

import (
	"log/slog"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

const (
	// outageEvery is how often an outage that lasts is logged.
	outageEvery = 10 * time.Minute
	// outageGap is the time from one outage that is logged to the next that is, as
	// a destination may come and go with every request.
	outageGap = time.Minute
)

// outage is the time in which the destination takes nothing. The Queue's goroutine
// alone uses it.
type outage struct {
	since    time.Time // of the present one; zero: there is none
	isLogged bool      // the present one was logged
	logged   time.Time // when one was logged last; zero: never
	failures int64     // of the present one
	direct   bool      // requests are kept by their senders
}

// failed notes a failure, and warns at the beginning of an outage and now and
// then while it lasts.
func (o *outage) failed(log *slog.Logger, s otlp.Signal, cause error, waiting int64) {
	now := time.Now()
	if o.since.IsZero() {
		o.since, o.isLogged, o.failures = now, false, 0
	}
	o.failures++
	gap, msg := outageGap, "the destination does not take requests; they are kept and sent again"
	if o.direct {
		msg = "the destination does not take requests; they are sent again while their senders wait"
	}
	if o.isLogged {
		gap, msg = outageEvery, "the destination still does not take requests"
	}
	if !o.logged.IsZero() && now.Sub(o.logged) < gap {
		return
	}
	o.isLogged, o.logged = true, now
	log.Warn(msg, slog.String("signal", s.String()), slog.Any("error", cause),
		slog.Duration("for", now.Sub(o.since)), slog.Int64("failures", o.failures), slog.Int64("requests_waiting", waiting))
}

// over notes that the destination has answered.
func (o *outage) over(log *slog.Logger, waiting int64) {
	if o.since.IsZero() {
		return
	}
	if o.isLogged {
		log.Info("the destination answers again", slog.Duration("after", time.Since(o.since)),
			slog.Int64("failures", o.failures), slog.Int64("requests_waiting", waiting))
	}
	o.since = time.Time{}
}
