package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/hostile"
)

// scenarios returns all scenarios.
func scenarios() []scenario {
	var all []scenario
	for _, p := range ports {
		for _, encoding := range hostile.Codecs(p) {
			all = append(all, bombs(p, encoding, "beyond", 4*bombLimit).scenario(), bombs(p, encoding, "below", bombLimit).scenario())
		}
	}
	for _, v := range victims() {
		all = append(all, amplifiers(v).scenario())
	}
	for _, p := range ports {
		all = append(all, lies(p).scenario())
	}
	for _, tls := range []bool{false, true} {
		for _, p := range ports {
			all = append(all, idle(p, tls).scenario())
		}
	}
	for _, tls := range []bool{false, true} {
		for _, p := range ports {
			all = append(all, slow(p, tls).scenario())
		}
	}
	for _, p := range ports {
		for _, a := range hostile.Attacks() {
			if a.Kind == hostile.Flood && slices.Contains(a.Ports, p) {
				all = append(all, flood(p, a).scenario())
			}
		}
	}
	for _, p := range ports {
		all = append(all, churn(p).scenario(), tiny(p).scenario())
	}
	all = append(all, rotation("atomically", atomically).scenario(), rotation("in pieces", inPieces).scenario())
	for _, p := range ports {
		all = append(all, overload(p), fairness(p))
	}
	return all
}

// bombLimit is the receivers' limit of a request in the scenarios with bombs,
// the default of both.
const bombLimit = 64 << 20

// bombs sends 64 decompression bombs at once.
func bombs(p hostile.Port, encoding, name string, bytes int) course {
	c := course{name: fmt.Sprintf("bombs %s %s %s", p, encoding, name)}
	c.attack = func(ctx context.Context, h *host, srv *server, r *result) error {
		const salvo = 64
		c, err := h.do(ctx, srv, job{Port: p, Bomb: &bombJob{Encoding: encoding, Bytes: bytes, Salvo: salvo}})
		r.Offered = fmt.Sprintf("%d at once of %d MiB each", salvo, bytes>>20)
		r.Outcome = tallyOf(c.Answers)
		if c.Failed > 0 {
			r.fault("%d bombs got no response: %s", c.Failed, strings.Join(c.Errors, "; "))
		}
		if c.Bad > 0 {
			r.fault("%d bombs got a response other than \"too large\" or \"try again\"", c.Bad)
		}
		return err
	}
	return c
}

// lies sends bodies that declare a large size, 64 at once of each kind.
func lies(p hostile.Port) course {
	c := course{name: fmt.Sprintf("lying bodies %s", p)}
	c.attack = func(ctx context.Context, h *host, srv *server, r *result) error {
		const salvo = 64
		kinds, err := hostile.Lies(p)
		if err != nil {
			return err
		}
		r.Offered = fmt.Sprintf("%d at once of %d kinds", salvo, len(kinds))
		for _, k := range kinds {
			began := time.Now()
			c, err := h.do(ctx, srv, job{Port: p, Bomb: &bombJob{Lie: k.Name, Salvo: salvo}})
			if err != nil {
				return err
			}
			r.note("%s: %s in %s", k.Name, tallyOf(c.Answers), time.Since(began).Round(10*time.Millisecond))
			if c.Failed+c.Bad > 0 {
				r.fault("%s: %d got no response, %d were accepted: %s", k.Name, c.Failed, c.Bad, strings.Join(c.Errors, "; "))
			}
		}
		return nil
	}
	return c
}

// perConnection is the maximum memory of an idle connection, in KiB.
func perConnection(tls bool) float64 {
	if tls {
		return 96
	}
	return 64
}

// idle holds 10,000 connections that have made one request each.
func idle(p hostile.Port, tls bool) course {
	c := course{name: fmt.Sprintf("idle %s%s", p, ifTLS(tls)), setup: setup{tls: tls, limitMiB: 2048}, ratio: 2}
	var crowd *child
	var n int
	c.open = func(ctx context.Context, h *host, srv *server, r *result) (func(), error) {
		n = h.opt.of(10_000)
		before := srv.rss()
		var err error
		if crowd, err = h.spawn(ctx, srv, job{Port: p, Idle: n}); err != nil {
			return nil, err
		}
		if err := crowd.awaitReady(); err != nil {
			return nil, err
		}
		time.Sleep(settling)
		each := (srv.rss() - before) * 1024 / float64(n)
		r.Offered = fmt.Sprintf("%d connections, each idle after one request", n)
		r.note("%.1f KiB of RSS a connection, expected at most %.0f", each, perConnection(tls))
		if each > perConnection(tls) {
			r.fault("%.1f KiB of RSS a connection, expected at most %.0f", each, perConnection(tls))
		}
		return func() { // after the measurement of the good clients, which closing these connections would disturb
			rep, err := crowd.finish()
			r.Outcome = fmt.Sprintf("%d kept open, %d closed by the server", n-rep.Lost, rep.Lost)
			if err != nil {
				r.fault("%v", err)
			}
		}, nil
	}
	c.attack = func(ctx context.Context, h *host, _ *server, _ *result) error {
		wait(ctx, max(h.opt.window, 2*time.Second))
		return nil
	}
	return c
}

// settling is the time between the last connection and the measurement of its
// cost, for the server to collect the garbage of the handshakes.
const settling = 3 * time.Second

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func ifTLS(tls bool) string {
	if tls {
		return " TLS"
	}
	return ""
}

// slow runs all slow and stalled clients on one port at once.
func slow(p hostile.Port, tls bool) course {
	c := course{name: fmt.Sprintf("slow and stalled %s%s", p, ifTLS(tls)), setup: setup{tls: tls}}
	c.attack = func(ctx context.Context, h *host, srv *server, r *result) error {
		var mu sync.Mutex
		var all sync.WaitGroup
		outcome := map[string]string{}
		n := h.opt.of(200)
		r.Offered = fmt.Sprintf("%d connections of each kind, a byte a second, %s", n, h.opt.slow)
		for _, a := range hostile.Attacks() {
			if a.Kind == hostile.Flood || !slices.Contains(a.Ports, p) || a.OnlyTLS && !tls || a.HTTP2 && p == hostile.HTTP && !tls {
				continue
			}
			o := hostile.Options{Connections: n, Every: time.Second}
			if a.Kind == hostile.Stall {
				o.Frames = stallFrames(a.Name)
				o.Connections = max(n/10, 2)
			}
			all.Go(func() {
				rep, err := h.do(ctx, srv, job{Port: p, Attack: &attackJob{Name: a.Name, Options: o, Hold: h.opt.slow}})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					r.fault("%s: %v", a.Name, err)
				}
				outcome[a.Name] = fatesOf(r, a, rep.Fates)
			})
		}
		all.Wait()
		for _, name := range slices.Sorted(maps.Keys(outcome)) {
			r.note("%s", outcome[name])
		}
		return nil
	}
	return c
}

// stallFrames returns the number of requests that fills the buffers, or the
// streams of a connection.
func stallFrames(name string) int {
	if name == "zero-window" {
		return 100
	}
	return 200_000
}

// mustEnd are the floods that a good client never causes by accident.
var mustEnd = []string{"rapid-reset", "made-you-reset", "continuation-flood"}

// fatesOf sums up how the connections of bad clients ended. It reports a fault
// if the server did not close those that it must close.
func fatesOf(r *result, a hostile.Attack, fates []hostile.Fate) string {
	reasons := map[string]int{}
	var cut, failed, sent int
	var longest time.Duration
	for _, f := range fates {
		sent += f.Sent
		switch {
		case f.Err != "":
			failed++
			reasons[f.Err]++
		case f.CutOff:
			cut++
			reasons[f.Reason]++
			longest = max(longest, f.After)
		default:
			reasons["still open"]++
		}
	}
	text := fmt.Sprintf("%s: %d of %d closed", a.Name, cut, len(fates))
	if cut > 0 {
		text += fmt.Sprintf(", the last after %s", longest.Round(100*time.Millisecond))
	}
	text += fmt.Sprintf(", %d units sent (%s)", sent, tallyOf(reasons))
	if failed > 0 {
		r.fault("%s: %d bad clients failed to start", a.Name, failed)
	}
	if cut < len(fates)-failed && (a.Kind != hostile.Flood || slices.Contains(mustEnd, a.Name)) {
		r.fault("%s: %d of %d bad clients were not disconnected", a.Name, len(fates)-failed-cut, len(fates))
	}
	return text
}

// flood opens ten connections to a port, which send as fast as the server
// reads.
func flood(p hostile.Port, a hostile.Attack) course {
	const connections = 10
	c := course{name: fmt.Sprintf("%s %s", a.Name, p), setup: setup{tls: p == hostile.HTTP}}
	c.attack = func(ctx context.Context, h *host, srv *server, r *result) error {
		frames := h.opt.of(100_000)
		switch a.Name {
		case "header-bomb", "binary-header-bomb", "unread-body-flood":
			frames = h.opt.of(10_000) // each is expensive
		}
		r.Offered = fmt.Sprintf("%d connections of %d", connections, frames)
		began := time.Now()
		rep, err := h.do(ctx, srv, job{Port: p, Attack: &attackJob{Name: a.Name,
			Options: hostile.Options{Connections: connections, Frames: frames}, Hold: 2 * time.Second}})
		r.Outcome = fatesOf(r, a, rep.Fates) + fmt.Sprintf(" in %s", time.Since(began).Round(100*time.Millisecond))
		return err
	}
	return c
}
