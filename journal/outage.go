package journal

import (
	"log/slog"
	"sync"
	"time"
)

// logEvery is how often an outage that goes on is logged.
const logEvery = time.Minute

// outage is a time in which the disk fails, or in which there is no room.
type outage struct {
	begins, ends string // log lines

	mu           sync.Mutex
	err          error // nil: there is none
	since        time.Time
	last, logged time.Time
	reported     bool // the present one was logged
}

// refuses returns the error of an attempt that was made just now.
func (o *outage) refuses(now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil && now.Sub(o.last) < retryAfter {
		return o.err
	}
	return nil
}

func (o *outage) failed(log *slog.Logger, now time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.since, o.reported = now, false
	}
	o.err, o.last = err, now
	if now.Sub(o.logged) >= logEvery {
		o.logged, o.reported = now, true
		log.Error(o.begins, slog.Any("error", err), slog.Duration("since", now.Sub(o.since).Round(time.Second)))
	}
}

func (o *outage) over(log *slog.Logger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil && o.reported {
		log.Info(o.ends, slog.Duration("after", time.Since(o.since).Round(time.Second)))
	}
	o.err = nil
}

// now returns the error of the outage, or nil.
func (o *outage) now() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
