package hostile

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Kind is the aim of an attack, and so what the server must do about it.
type Kind string

// The kinds. Slow and Stall hold a connection or a stream for as long as they can:
// the server must end them in bounded time. Flood sends as fast as the server
// reads: the server must spend bounded memory on it, and end what no good client
// does.
const (
	Slow  Kind = "slow"
	Stall Kind = "stall"
	Flood Kind = "flood"
)

// Attack is one way to be a bad client, on one connection.
type Attack struct {
	Name  string
	Kind  Kind
	Ports []Port
	// OnlyTLS: it needs a target with TLS. HTTP2: on the HTTP port it needs one that
	// accepts HTTP/2.
	OnlyTLS, HTTP2 bool
	run            func(ctx context.Context, o *offender, p Port, opt Options) int
	dial           func(ctx context.Context, t Target, p Port, from string) (*offender, error)
}

// Options are the size and speed of an attack.
type Options struct {
	Connections int
	Frames      int           // of a flood, per connection
	Every       time.Duration // between two bytes of a slow attack
	From        string        // the client's address; "" means any
}

// Fate is what happened to one offender.
type Fate struct {
	CutOff bool          // the server ended the connection, or the one stream of the attack
	After  time.Duration // from the connection's start to its end
	Reason string        // what the server sent, or how the connection ended
	Sent   int           // units of the attack that were written
	Resets int           // streams that the server reset
	Err    string        // why the attack could not start
}

// Launch runs an attack on all its connections at once and returns what happened
// to each. The attack is over when the server has ended it, when it has lasted for
// hold (counted from the last frame of a flood), or when ctx ends.
func Launch(ctx context.Context, a Attack, t Target, p Port, hold time.Duration, opt Options) []Fate {
	fates := make([]Fate, max(opt.Connections, 1))
	var all sync.WaitGroup
	for i := range fates {
		all.Go(func() { fates[i] = launch(ctx, a, t, p, hold, opt) })
	}
	all.Wait()
	return fates
}

func launch(ctx context.Context, a Attack, t Target, p Port, hold time.Duration, opt Options) Fate {
	o, err := a.dial(ctx, t, p, opt.From)
	if err != nil {
		return Fate{Err: err.Error()}
	}
	start := time.Now()
	over, cancel := context.WithCancel(ctx)
	defer cancel()
	// The end of ctx unblocks a write that the server does not read.
	stop := context.AfterFunc(ctx, func() { _ = o.SetDeadline(time.Now()) })
	defer stop()
	deaf := a.Kind == Stall && a.Name != zeroWindow
	if deaf {
		o.reading.Go(func() { o.watch(over) })
	} else {
		stream := uint32(0)
		if a.Kind == Slow {
			stream = 1
		}
		o.reading.Go(func() {
			if a.HTTP2 {
				o.readHTTP2(over, stream)
			} else {
				o.readHTTP1(over)
			}
		})
	}
	running := over
	if a.Kind == Slow {
		var enough context.CancelFunc
		running, enough = context.WithTimeout(over, hold)
		defer enough()
	}
	sent := a.run(running, o, p, opt)
	select {
	case <-running.Done():
	case <-o.ended:
	case <-ctx.Done():
	case <-time.After(hold):
	}
	cancel()
	_ = o.Close()
	o.reading.Wait()
	f := Fate{Sent: sent, After: time.Since(start)}
	select {
	case <-o.ended:
		f.CutOff, f.Reason, f.After = true, o.reason, o.at.Sub(start)
	default:
		f.Reason = o.reason
	}
	f.Resets = o.resets
	return f
}

// Find returns the attack of that name.
func Find(name string) (Attack, error) {
	for _, a := range Attacks() {
		if a.Name == name {
			return a, nil
		}
	}
	return Attack{}, fmt.Errorf("hostile: unknown attack %q", name)
}

// Attacks returns all attacks.
func Attacks() []Attack {
	both, grpcOnly, httpOnly := []Port{GRPC, HTTP}, []Port{GRPC}, []Port{HTTP}
	h2 := func(name string, k Kind, run func(context.Context, *offender, Port, Options) int) Attack {
		return Attack{Name: name, Kind: k, Ports: both, HTTP2: true, dial: dialHTTP2, run: run}
	}
	settings := func(a Attack, greet dialer) Attack { a.dial = greet; return a }
	return []Attack{
		{Name: "silence", Kind: Slow, Ports: both, dial: dialSilent, run: runNothing},
		{Name: "tls-stall", Kind: Slow, Ports: both, OnlyTLS: true, dial: dialSilent, run: runHalfHello},
		{Name: "h1-header-trickle", Kind: Slow, Ports: httpOnly, dial: dialHTTP1, run: runHeaderTrickle},
		{Name: "h1-body-trickle", Kind: Slow, Ports: httpOnly, dial: dialHTTP1, run: runBodyTrickle},
		{Name: "h1-chunk-trickle", Kind: Slow, Ports: httpOnly, dial: dialHTTP1, run: runChunkTrickle},
		{Name: "h2-preface-stall", Kind: Slow, Ports: both, HTTP2: true, dial: dialPreface, run: runNothing},
		h2("h2-header-stall", Slow, runHeaderStall),
		h2("h2-continuation-trickle", Slow, runContinuationTrickle),
		h2("h2-body-silence", Slow, runBodySilence),
		h2("h2-body-trickle", Slow, runH2BodyTrickle),

		h2("rapid-reset", Flood, runRapidReset),
		h2("made-you-reset", Flood, runMadeYouReset),
		h2("continuation-flood", Flood, runContinuationFlood),
		h2("empty-continuation-flood", Flood, runEmptyContinuationFlood),
		h2("settings-flood", Flood, runSettingsFlood),
		h2("ping-flood", Flood, runPingFlood),
		h2("window-update-flood", Flood, runWindowUpdateFlood),
		h2("empty-data-flood", Flood, runEmptyDataFlood),
		h2("unknown-frame-flood", Flood, runUnknownFrameFlood),
		h2("header-bomb", Flood, runHeaderBomb),
		{Name: "binary-header-bomb", Kind: Flood, Ports: grpcOnly, HTTP2: true, dial: dialHTTP2, run: runBinaryHeaderBomb},
		h2("unread-body-flood", Flood, runUnreadBodyFlood),

		settings(h2(zeroWindow, Stall, runZeroWindow), dialZeroWindow),
		settings(h2("h2-never-read", Stall, runNeverReadHTTP2), dialDeaf),
		{Name: "h1-never-read", Kind: Stall, Ports: httpOnly, dial: dialDeafHTTP1, run: runNeverReadHTTP1},
	}
}

const zeroWindow = "zero-window"
