package hostile_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/hostile"
)

// patient is how long an offender may last. The receiver's own bounds are thirty
// seconds at most, or are set lower here.
const patient = 45 * time.Second

// Short bounds, so that the tests do not take minutes. A flood must be ended
// because it is one, and not because nothing follows it: idle connections are not
// bounded.
const (
	fastGRPC  = ", min_body_rate_kib: 64, keepalive: {server_parameters: {max_connection_idle: 1s}}"
	fastHTTP  = ", read_header_timeout: 3s, read_timeout: 5s, write_timeout: 10s, idle_timeout: 5s"
	floodGRPC = ", max_concurrent_streams: 20" // an HTTP port has 250, the default of net/http
	floodHTTP = ", idle_timeout: 1h"
)

// eachAttack runs f for every attack of a kind, on both ports, plain and with
// TLS, each against a new receiver.
func eachAttack(t *testing.T, k hostile.Kind, f func(t *testing.T, r *rig, a hostile.Attack, p hostile.Port)) {
	t.Helper()
	for _, encrypted := range []bool{false, true} {
		for _, p := range []hostile.Port{hostile.GRPC, hostile.HTTP} {
			for _, a := range attacks(k, p, encrypted) {
				name := fmt.Sprintf("%s/%s", p, a.Name)
				if encrypted {
					name += "/tls"
				}
				t.Run(name, func(t *testing.T) {
					if k == hostile.Flood {
						f(t, newRig(t, nil, encrypted, floodGRPC, floodHTTP), a, p)
					} else {
						f(t, newRig(t, nil, encrypted, fastGRPC, fastHTTP), a, p)
					}
				})
			}
		}
	}
}

// A client that is slower than any good client is cut off. Other clients are not
// affected.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	eachAttack(t, hostile.Slow, func(t *testing.T, r *rig, a hostile.Attack, p hostile.Port) {
		t.Parallel()
		r.beside(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, patient)
			defer cancel()
			r.cutOff(a.Name, hostile.Launch(ctx, a, r.target, p, patient, hostile.Options{Connections: 4, Every: 100 * time.Millisecond}))
		})
	})
}

// A client that does not read its answers is cut off.
func TestStalledReadersAreCutOff(t *testing.T) {
	t.Parallel()
	frames := map[string]int{"zero-window": 200, "h2-never-read": 200_000, "h1-never-read": 200_000}
	eachAttack(t, hostile.Stall, func(t *testing.T, r *rig, a hostile.Attack, p hostile.Port) {
		t.Parallel()
		r.beside(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, patient+time.Minute) // Frames bound the rest
			defer cancel()
			r.cutOff(a.Name, hostile.Launch(ctx, a, r.target, p, patient, hostile.Options{Connections: 1, Frames: frames[a.Name]}))
		})
	})
}

// mustEnd are the floods that no good client could cause by accident. The others
// must only leave nothing behind.
var mustEnd = map[string]bool{"rapid-reset": true, "made-you-reset": true, "continuation-flood": true}

// floodFrames is how many units of an attack are enough: 3,000, fewer of those
// that are large. net/http does not start most of the requests that are reset at
// once, so that it needs more of them to notice.
func floodFrames(name string) int {
	switch name {
	case "header-bomb", "binary-header-bomb":
		return 500
	case "unread-body-flood":
		return 200
	case "rapid-reset", "made-you-reset":
		return 20_000
	}
	return 3_000
}

// A flood ends, and no goroutine outlives it. While it lasts there are no more
// handlers than max_concurrent_streams allows. The subtests run one after the
// other: they count the process's goroutines.
func TestFloods(t *testing.T) {
	const connections = 2
	eachAttack(t, hostile.Flood, func(t *testing.T, r *rig, a hostile.Attack, p hostile.Port) {
		frames, handlers := floodFrames(a.Name), 20
		if p == hostile.HTTP {
			handlers = 2 * 250
		}
		before := runtime.NumGoroutine()
		highest := peak(runtime.NumGoroutine)
		r.beside(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, patient)
			defer cancel()
			hold := 100 * time.Millisecond
			if mustEnd[a.Name] {
				hold = 5 * time.Second // until the server's last frame has arrived
			}
			fates := hostile.Launch(ctx, a, r.target, p, hold, hostile.Options{Connections: connections, Frames: frames})
			if mustEnd[a.Name] {
				r.cutOff(a.Name, fates)
			}
			for i, f := range fates {
				if !f.CutOff && f.Sent < frames {
					t.Errorf("offender %d: %d of %d frames in %s, neither cut off nor read: %q", i, f.Sent, frames, f.After, f.Reason)
				}
			}
		})
		// 16 a connection are the server's and the offender's own, the rest are those
		// of the good clients, while they wait.
		if got, most := highest()-before, connections*(handlers+16)+2*hostile.MaxWaiting; got > most {
			t.Errorf("%d goroutines more at the peak, expected at most %d", got, most)
		}
		settles(t, "goroutines", before+4, runtime.NumGoroutine)
	})
}
