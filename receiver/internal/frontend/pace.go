package frontend

import (
	"fmt"
	"time"
)

// Pace is how long a receiver waits for its clients.
type Pace struct {
	// Handshake is how long a connection may take to begin its protocol.
	Handshake time.Duration
	// GracePeriod is how long every body may take, even a small one. After that
	// its average rate must be at least MinRateBytes a second.
	GracePeriod  time.Duration
	MinRateBytes int
	// Request is how long a whole request may take to come over HTTP, 0: any.
	Request time.Duration
	// Unread is how long an answer waits for the body of a request that is refused
	// without it, so that the connection can be used again.
	Unread time.Duration
	// WriteStall is how long a client may accept nothing of what is written to it.
	WriteStall time.Duration
	// WindowStall is how long it may keep its windows of HTTP/2 too small for our
	// answers, before its connection is closed.
	WindowStall time.Duration
	// RetireIdle is how long HTTP connections on which nothing comes are left open after
	// the listener was handed over: a client that sends a request meanwhile is answered,
	// and learns that it was the last one on this connection. Closing a connection fails
	// a request that is being sent.
	RetireIdle time.Duration
}

// DefaultPace returns what receivers start from.
func DefaultPace() Pace {
	return Pace{
		Handshake:   10 * time.Second,
		GracePeriod: 10 * time.Second, MinRateBytes: 16 << 10,
		Unread:      250 * time.Millisecond,
		WriteStall:  30 * time.Second,
		WindowStall: 10 * time.Second,
		RetireIdle:  5 * time.Second,
	}
}

// BodyDeadline is by when the first n bytes of a body that began at began must
// have come, and something after them.
func (p *Pace) BodyDeadline(began time.Time, n int) time.Time {
	within := p.GracePeriod + time.Duration(n)*time.Second/time.Duration(p.MinRateBytes)
	if p.Request > 0 {
		within = min(within, p.Request)
	}
	return began.Add(within)
}

// SlowBody returns the error text for the sender of a body that is too slow.
func (p *Pace) SlowBody() string {
	return fmt.Sprintf("the request came too slowly: expected at least %d KiB/s on average after the first %s (min_body_rate_kib)", p.MinRateBytes>>10, p.GracePeriod)
}
