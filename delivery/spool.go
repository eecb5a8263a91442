package delivery

import (
	"context"
	"log/slog"
	"time"

	"github.com/penstock-telemetry/penstock/internal/lograte"
)

// spoolRetry is how long Config.Spool is left alone after it has failed.
const spoolRetry = time.Second

// spoolState is what the Queue's goroutine knows of Config.Spool.
type spoolState struct {
	again    time.Time // when to call it; zero: at once
	failures int64     // since it took something
	since    time.Time
	warnings lograte.Limiter
	isLogged bool
}

// spooled hands a request that was taken to Config.Spool, and reports whether it has it.
func (q *Queue) spooled(r *Request) bool {
	if q.cfg.Spool == nil || time.Now().Before(q.spool.again) {
		return false
	}
	if err := q.cfg.Spool(context.WithoutCancel(q.ctx), *r); err != nil {
		q.spoolFailed(err)
		return false
	}
	q.mu.Lock()
	q.head, q.sending = nil, false
	q.move(r)
	q.mu.Unlock()
	q.spoolWorks()
	return true
}

func (q *Queue) spoolFailed(err error) {
	s, now := &q.spool, time.Now()
	if s.failures == 0 {
		s.since = now
	}
	s.failures++
	s.again = now.Add(spoolRetry)
	if _, ok := s.warnings.Allow(warningEvery); ok {
		s.isLogged = true
		q.cfg.Logger.Warn("the spool does not take requests; they are held in memory and sent from there (logged at most once in "+warningEvery.String()+")",
			slog.Any("error", err), slog.Int("max_pending_bytes", q.cfg.MaxPendingBytes))
	}
}

func (q *Queue) spoolWorks() {
	s := &q.spool
	if s.failures > 0 && s.isLogged {
		q.cfg.Logger.Info("the spool takes requests again", slog.Duration("after", time.Since(s.since)))
	}
	s.failures, s.again, s.isLogged = 0, time.Time{}, false
}

// spoolRest hands all that is held to Config.Spool at the end, until it fails.
func (q *Queue) spoolRest() {
	if q.cfg.Spool == nil || !q.wasStarted() {
		return
	}
	q.spool.again = time.Time{}
	for r := q.take(); r != nil; r = q.take() {
		if !q.spooled(r) {
			q.giveBack()
			return
		}
	}
}

func (q *Queue) wasStarted() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.started
}
