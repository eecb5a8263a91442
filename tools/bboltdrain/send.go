package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// headers is a flag.
type headers config.Headers

func (h *headers) String() string { return "" }

func (h *headers) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("expected name=value")
	}
	*h = append(*h, config.Header{Name: name, Value: config.Secret(value)})
	return nil
}

func newSender(o options) (otlpclient.Sender, error) {
	if strings.HasPrefix(o.to, "http://") || strings.HasPrefix(o.to, "https://") {
		cfg := config.DefaultHTTPClient()
		cfg.Endpoint, cfg.Timeout, cfg.Headers, cfg.TLS.CAFile = o.to, o.timeout, config.Headers(o.headers), o.caFile
		return otlpclient.NewHTTP(cfg, nil)
	}
	cfg := config.DefaultGRPCClient()
	cfg.Endpoint, cfg.Headers, cfg.TLS.CAFile = o.to, config.Headers(o.headers), o.caFile
	cfg.TLS.Insecure = o.insecure || isLocal(o.to) && o.caFile == ""
	return otlpclient.NewGRPC(cfg, o.timeout)
}

func isLocal(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// drain is the state of a run.
type drain struct {
	options
	sender otlpclient.Sender // nil to list only
	out    io.Writer
}

// counts are of one queue.
type counts struct{ requests, items, refused int }

// file lists or sends what is in a queue.
func (d *drain) file(ctx context.Context, path string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	q, err := openQueue(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.close()) }()
	defer recoverDamage(&err)
	name := filepath.Base(path)
	indices := q.pending
	if d.all {
		indices = append(slices.Clone(q.others), q.pending...)
		slices.Sort(indices)
	}
	var c counts
	if len(indices) > 0 {
		signal, err := d.signalOf(name)
		if err != nil {
			return err
		}
		if c, err = d.requests(ctx, q, signal, indices); err != nil {
			return err
		}
	}
	d.report(name, q, c)
	if c.refused > 0 {
		return fmt.Errorf("%d of %d requests were not accepted", c.refused, c.requests)
	}
	return nil
}

// recoverDamage turns a panic, or a fault of the mapped file, into an error: bbolt panics at
// pages that are damaged.
func recoverDamage(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the file is damaged: %v", r)
	}
}

func (d *drain) report(name string, q *queue, c counts) {
	verb := "in the queue"
	if d.sender != nil {
		verb = "sent"
	}
	line := fmt.Sprintf("%s: %d requests, %d items %s", name, c.requests, c.items, verb)
	if c.refused > 0 {
		line += fmt.Sprintf(", %d requests refused", c.refused)
	}
	if len(q.others) > 0 && !d.all {
		line += fmt.Sprintf("; %d more that the queue no longer refers to (--all)", len(q.others))
	}
	if q.missing > 0 {
		line += fmt.Sprintf("; %d that the queue refers to are missing", q.missing)
	}
	fmt.Fprintln(d.out, line)
}

func (d *drain) requests(ctx context.Context, q *queue, signal otlp.Signal, indices []uint64) (c counts, err error) {
	for _, index := range indices {
		if index < d.from {
			continue
		}
		wire, err := q.request(index)
		items := 0
		if err == nil {
			items, err = otlp.Check(signal, wire)
		}
		c.requests++
		if err != nil {
			c.refused++
			fmt.Fprintf(d.out, "request %d is not valid: %v\n", index, err)
			continue
		}
		if d.sender == nil {
			c.items += items
			continue
		}
		rejected, err := d.send(ctx, index, otlpclient.Request{Signal: signal, Bytes: wire})
		switch {
		case ctx.Err() != nil:
			return c, fmt.Errorf("interrupted; --from %d continues this file: %w", index, context.Cause(ctx))
		case err != nil:
			c.refused++
			fmt.Fprintf(d.out, "request %d was refused: %v\n", index, err)
		case rejected > 0:
			c.refused++
		}
		if err == nil {
			c.items += items - rejected
		}
	}
	return c, nil
}

// pause is how long a request waits before it is sent again, if the server does not say.
const pause = 500 * time.Millisecond

// send sends a request until the server accepts it, or refuses it for good.
func (d *drain) send(ctx context.Context, index uint64, r otlpclient.Request) (rejected int, err error) {
	for {
		answer, err := d.sender.Send(ctx, r)
		var e *otlpclient.Error
		switch {
		case err == nil:
			if answer.Rejected > 0 {
				fmt.Fprintf(d.out, "request %d: %d items were rejected: %s\n", index, answer.Rejected, answer.Message)
			}
			return int(answer.Rejected), nil
		case ctx.Err() != nil || !errors.As(err, &e) || !e.Retryable:
			return 0, err
		}
		fmt.Fprintf(d.out, "request %d is sent again: %v\n", index, err)
		select {
		case <-time.After(max(e.RetryAfter, pause)):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
