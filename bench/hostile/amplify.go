package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/penstock-telemetry/penstock/internal/test/amplify"
	"github.com/penstock-telemetry/penstock/internal/test/hostile"
)

// victim is a configuration that is sent all amplifiers.
type victim struct {
	name string
	setup
	// stuck is what a destination does with its connections; nil: there is none. Its
	// address takes the place of DESTINATION in exporter.
	stuck func(net.Conn)
}

// victims are the components that make something of a request. What is written goes to
// the null device: it is the memory that is measured.
func victims() []victim {
	null := func(name, section string) victim { return victim{name: name, setup: setup{exporter: section}} }
	return []victim{
		{name: "nop"},
		{name: "resource", setup: setup{processor: "resource: {attributes: [{key: a, value: the value of a, action: upsert}, {key: b, value: the value of b, action: upsert}, {key: c, from_attribute: a, action: upsert}]}"}},
		null("debug normal", "debug: {verbosity: normal, use_internal_logger: false, output_paths: [/dev/null]}"),
		null("debug detailed", "debug: {verbosity: detailed, use_internal_logger: false, output_paths: [/dev/null]}"),
		null("file json", "file: {path: /dev/null}"),
		null("file json zstd", "file: {path: /dev/null, compression: zstd}"),
		null("file proto zstd", "file: {path: /dev/null, format: proto, compression: zstd}"),
		{name: "a stuck destination over gRPC", stuck: neverRead, setup: setup{healthy: true,
			exporter: `otlp: {endpoint: "DESTINATION", tls: {insecure: true}, timeout: 1s, sending_queue: {enabled: false}, retry_on_failure: {enabled: false}}`}},
		{name: "a stuck destination over HTTP", stuck: neverRead, setup: setup{healthy: true,
			exporter: `otlphttp: {endpoint: "http://DESTINATION", timeout: 1s, sending_queue: {enabled: false}, retry_on_failure: {enabled: false}}`}},
	}
}

// neverRead keeps a connection open, and reads nothing.
func neverRead(net.Conn) {}

const (
	// amplifierBytes is the size of an amplifier; compressed it is at most
	// amplifierWireBytes.
	amplifierBytes     = 24 << 20
	amplifierWireBytes = 64 << 10
)

// amplifiers sends every amplifier to a victim, many copies of each at once.
func amplifiers(v victim) course {
	c := course{name: "amplifiers, " + v.name, setup: v.setup}
	if v.stuck != nil {
		addr, err := stuckDestination(v.stuck)
		c.connects = true
		c.setup.exporter = strings.ReplaceAll(v.exporter, "DESTINATION", addr)
		c.open = func(context.Context, *host, *server, *result) (func(), error) { return func() {}, err }
	}
	c.attack = func(ctx context.Context, h *host, srv *server, r *result) error {
		job := amplifyJob{Bytes: amplifierBytes, Salvo: h.opt.of(32)}
		rep, err := h.do(ctx, srv, job.over(hostile.HTTP))
		r.Offered = fmt.Sprintf("%d kinds of at most %d KiB, %d MiB unpacked, %d at once", rep.Kinds, amplifierWireBytes>>10, amplifierBytes>>20, job.Salvo)
		r.Outcome = tallyOf(rep.Answers)
		if rep.Failed > 0 {
			r.fault("%d requests got no answer: %s", rep.Failed, strings.Join(rep.Errors, "; "))
		}
		return err
	}
	return c
}

// stuckDestination accepts connections for the rest of the process's life.
func stuckDestination(handle func(net.Conn)) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for the stuck destination: %w", err)
	}
	var mu sync.Mutex
	var open []net.Conn // or they would be closed by the garbage collector
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			go handle(c)
		}
	}()
	return l.Addr().String(), nil
}

type amplifyJob struct {
	Bytes, Salvo int // unpacked; copies at once
}

func (a amplifyJob) over(p hostile.Port) job { return job{Port: p, Amplify: &a} }

// run sends the amplifiers.
func (a *amplifyJob) run(ctx context.Context, t hostile.Target, p hostile.Port) (report, error) {
	r := report{Answers: map[string]int{}}
	for i, request := range amplify.Requests(a.Bytes) {
		body, err := hostile.Compress(p, "gzip", request.Body)
		for n := a.Bytes / 2; err == nil && len(body) > amplifierWireBytes; n /= 2 {
			request = amplify.Requests(n)[i]
			body, err = hostile.Compress(p, "gzip", request.Body)
		}
		if err != nil {
			return r, err
		}
		r.Kinds++
		b := hostile.Bomb{Port: p, Encoding: "gzip", Bytes: len(request.Body), Body: body, Signal: request.Signal}
		answers, errs := b.Salvo(ctx, t, a.Salvo)
		for _, err := range errs {
			r.fail(fmt.Errorf("%s of %s: %w", request.Name, request.Signal, err))
		}
		for _, answer := range answers {
			r.Answers[answer.String()]++
		}
	}
	return r, nil
}
