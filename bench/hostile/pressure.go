package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/hostile"
)

// churn opens a connection for each request.
func churn(p hostile.Port) course {
	return loaded(fmt.Sprintf("connection churn %s", p), p, loadJob{Clients: 10, FirstAddr: 100, Senders: 4, Items: 1, Reconnect: true})
}

// tiny sends requests of one item.
func tiny(p hostile.Port) course {
	return loaded(fmt.Sprintf("tiny requests %s", p), p, loadJob{Clients: 10, FirstAddr: 200, Senders: 10, Items: 1})
}

// loaded returns a scenario of valid requests, all of which must be accepted.
func loaded(name string, p hostile.Port, l loadJob) course {
	c := course{name: name}
	c.attack = func(ctx context.Context, h *host, srv *server, r *result) error {
		l.For = h.opt.load
		rep, err := h.do(ctx, srv, job{Port: p, Load: &l})
		r.Offered = fmt.Sprintf("%d clients with %d senders each", l.Clients, l.Senders)
		r.Outcome = rep.Load.String()
		if rep.Load.OK < rep.Load.Sent {
			r.fault("%d of %d requests were not accepted: %s %s", rep.Load.Sent-rep.Load.OK, rep.Load.Sent, tallyOf(rep.Load.Answers), strings.Join(rep.Load.Errors, "; "))
		}
		return err
	}
	return c
}

// rotations is how often the certificate changes.
const rotations = 100

// rotation replaces the server's certificate repeatedly. Clients must get no
// errors, with a new connection for each request or without.
func rotation(how string, write func(string, []byte) error) course {
	c := course{name: "certificates rotated " + how, setup: setup{tls: true}}
	c.attack = func(ctx context.Context, h *host, srv *server, r *result) error {
		began := time.Now()
		good, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		reports := make([]hostile.Report, len(ports))
		for i, p := range ports {
			g := hostile.Good{Target: srv.target, Port: p, PerSecond: h.opt.perSecond, Reconnect: true}
			all.Go(func() { reports[i] = g.Run(good) })
		}
		seen := map[string]bool{}
		every := max(h.opt.load/rotations, 50*time.Millisecond)
		var err error
		for range rotations {
			if err = h.auth.write(srv.certs, write); err != nil || ctx.Err() != nil {
				break
			}
			wait(ctx, every)
			if serial, err := serialOf(srv); err == nil {
				seen[serial] = true
			}
		}
		current := fmt.Sprint(h.auth.serial)
		fresh := eventually(5*time.Second, func() bool { s, err := serialOf(srv); return err == nil && s == current })
		stop()
		all.Wait()
		r.Offered = fmt.Sprintf("%d certificates in %s, read every %s", rotations, time.Since(began).Round(100*time.Millisecond), reloadInterval)
		r.Outcome = fmt.Sprintf("%d of them seen", len(seen))
		if !fresh {
			r.fault("5 s after the last rotation the server still uses another certificate")
		}
		for i, p := range ports {
			r.note("clients with new connections over %s: %d of %d requests succeeded", p, reports[i].OK, reports[i].Sent)
			if reports[i].OK < reports[i].Sent {
				r.fault("%s: %d of %d requests on new connections failed: %s", p, reports[i].Sent-reports[i].OK, reports[i].Sent, strings.Join(reports[i].Errors, "; "))
			}
		}
		return err
	}
	return c
}

// serialOf returns the serial number of the server's certificate.
func serialOf(srv *server) (string, error) {
	c, err := tls.Dial("tcp", srv.target.HTTP, srv.target.TLS)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// eventually calls is until it returns true or the timeout is over.
func eventually(timeout time.Duration, is func() bool) bool {
	for deadline := time.Now().Add(timeout); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// The requests of overload are compressed, so that they cost the server more
// than ten times as much CPU as the sender, and large, so that memory runs out.
const (
	overloadItems    = 10_000
	overloadEncoding = "gzip"
	overloadClients  = 20
	// overloadSenders is the number of senders of each client. Together they
	// have more bytes in flight than a limit of a few hundred MiB allows.
	overloadSenders = 60
	keptGoodput     = 0.9
)

// overload finds the maximum rate that the server accepts, and then offers ten
// times that.
func overload(p hostile.Port) scenario {
	name := fmt.Sprintf("overload %s", p)
	return scenario{name, func(ctx context.Context, h *host) result {
		r := result{Scenario: name}
		srv, err := h.start(setup{})
		if err != nil {
			r.fault("%v", err)
			return r
		}
		defer srv.stop()
		r.RSSBefore = srv.rss()
		best, senders, err := h.best(ctx, srv, p)
		if err != nil {
			r.fault("%v", err)
			return r
		}
		watch, cpu := srv.watch(), srv.cpu()
		rep, err := h.do(ctx, srv, job{Port: p, Load: &loadJob{Clients: overloadClients, FirstAddr: 300, Senders: overloadSenders,
			PerSecond: 10 * best / overloadClients, Items: overloadItems, Encoding: overloadEncoding, For: h.opt.load}})
		if err != nil {
			r.fault("%v", err)
			return r
		}
		l := rep.Load
		r.CPU, r.RSSPeak, r.HighWater = srv.cpu()-cpu, watch(), srv.highWater()
		r.Offered = fmt.Sprintf("%.0f requests/s of %d items for %s from %d senders; the maximum accepted before was %.0f/s from %d",
			10*best, overloadItems, h.opt.load, overloadClients*overloadSenders, best, senders)
		r.Outcome = l.String() + ": " + tallyOf(l.Answers)
		r.note("goodput is %.0f %% of the maximum, expected at least %.0f %%", 100*l.goodput()/best, 100*keptGoodput)
		r.note("actually sent: %.1f times the maximum (the senders share the processors)", float64(l.Sent)/l.Seconds/best)
		if l.goodput() < keptGoodput*best {
			r.fault("goodput is %.0f requests/s, %.0f %% of the maximum", l.goodput(), 100*l.goodput()/best)
		}
		if l.Mute > 0 {
			r.fault("%d of %d refusals have no retry delay", l.Mute, l.Mute+l.Later)
		}
		if l.Failed > 0 {
			r.fault("%d requests got no response: %s", l.Failed, strings.Join(l.Errors, "; "))
		}
		r.judgeServer(srv)
		return r
	}}
}

// best returns the highest rate at which all requests are accepted, and the
// number of senders.
func (h *host) best(ctx context.Context, srv *server, p hostile.Port) (rate float64, senders int, err error) {
	for _, n := range []int{2, 4, 8, 16} {
		rep, err := h.do(ctx, srv, job{Port: p, Load: &loadJob{Clients: n, FirstAddr: 10, Senders: 1,
			Items: overloadItems, Encoding: overloadEncoding, For: max(h.opt.load/8, 2*time.Second)}})
		if err != nil {
			return 0, 0, err
		}
		if g := rep.Load.goodput(); g > rate {
			rate, senders = g, n
		}
	}
	if rate == 0 {
		err = fmt.Errorf("no request was accepted before the overload began")
	}
	return rate, senders, err
}

// fairShare is the minimum share of accepted requests of normal clients at the
// same time as a greedy one.
const fairShare = 0.99

// fairness runs one client with a hundred times the requests of each of nine
// normal ones.
func fairness(p hostile.Port) scenario {
	name := fmt.Sprintf("fairness %s", p)
	return scenario{name, func(ctx context.Context, h *host) result {
		r := result{Scenario: name}
		srv, err := h.start(setup{})
		if err != nil {
			r.fault("%v", err)
			return r
		}
		defer srv.stop()
		r.RSSBefore = srv.rss()
		best, _, err := h.best(ctx, srv, p)
		if err != nil {
			r.fault("%v", err)
			return r
		}
		watch := srv.watch()
		modest := best / 100 // the nine use a tenth of the maximum rate
		greedy := loadJob{Clients: 1, FirstAddr: 600, Senders: overloadClients * overloadSenders, PerSecond: 100 * modest,
			Items: overloadItems, Encoding: overloadEncoding, For: h.opt.load + 2*time.Second}
		crowd, err := h.spawn(ctx, srv, job{Port: p, Load: &greedy})
		if err != nil {
			r.fault("%v", err)
			return r
		}
		wait(ctx, time.Second) // until its load is constant
		rep, err := h.do(ctx, srv, job{Port: p, Honest: true, Load: &loadJob{Clients: 9, FirstAddr: 700, Senders: 16, PerSecond: modest,
			Items: overloadItems, Encoding: overloadEncoding, For: h.opt.load}})
		other, greedyErr := crowd.finish()
		if err != nil || greedyErr != nil {
			r.fault("%v %v", err, greedyErr)
			return r
		}
		r.RSSPeak, r.HighWater = watch(), srv.highWater()
		r.Offered = fmt.Sprintf("nine clients of %.1f requests/s, one of %.0f/s", modest, 100*modest)
		r.Outcome = "the nine: " + rep.Load.String()
		r.note("the greedy one: %s", other.Load)
		r.note("%.0f %% of the requests of the nine were accepted in time", 100*rep.Load.goodput()/(9*modest))
		r.note("the lowest share of accepted requests of one of the nine is %.1f %%, expected at least %.0f %%", 100*rep.Load.LeastOK, 100*fairShare)
		if rep.Load.LeastOK < fairShare {
			r.fault("only %.1f %% of the requests of one of the nine were accepted: %s", 100*rep.Load.LeastOK, tallyOf(rep.Load.Answers))
		}
		r.judgeServer(srv)
		return r
	}}
}
