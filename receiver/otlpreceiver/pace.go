package otlpreceiver

import (
	"fmt"
	"time"
)

// pace is how long a receiver waits for its clients.
type pace struct {
	// handshake is how long a connection may take to greet.
	handshake time.Duration
	// patience is how long a body may take however small it is. Beyond that it
	// must come at leastRateBytes a second, on average.
	patience       time.Duration
	leastRateBytes int
	// request is how long a whole request may take to come over HTTP, 0: any.
	request time.Duration
	// unread is how long an answer waits for the body of a request that is refused
	// without it, so that an HTTP/1 connection can be used again.
	unread time.Duration
	// writeStall is how long a client may take nothing of what is written to it.
	writeStall time.Duration
	// stalledFor is how long it may keep its windows of HTTP/2 too small for our
	// answers, before its connection is closed.
	stalledFor time.Duration
}

func defaultPace() pace {
	return pace{
		handshake: 10 * time.Second,
		patience:  10 * time.Second, leastRateBytes: 64 << 10,
		unread:     250 * time.Millisecond,
		writeStall: 30 * time.Second,
		stalledFor: 10 * time.Second,
	}
}

// bodyDeadline is by when the first n bytes of a body that began at began must be
// there, and something after them.
func (p *pace) bodyDeadline(began time.Time, n int) time.Time {
	within := p.patience + time.Duration(n)*time.Second/time.Duration(p.leastRateBytes)
	if p.request > 0 {
		within = min(within, p.request)
	}
	return began.Add(within)
}

func (p *pace) slowBody() string {
	return fmt.Sprintf("the request came too slowly: expected %d KiB/s after the first %s", p.leastRateBytes>>10, p.patience)
}
