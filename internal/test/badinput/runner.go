package badinput

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Options say which server is tested and how.
type Options struct {
	GRPC, HTTP string // host:port; empty: its cases are skipped
	// Counts reads the server's counters; nil: they are not checked.
	Counts func(context.Context) (Counts, error)
	// CountsWithin is how long a counter may take to change; 0: 250ms.
	CountsWithin time.Duration
	Only         *regexp.Regexp // of IDs; nil: all
	Signals      []otlp.Signal  // nil: all
	// MaxBytes is the server's limit of a request, both compressed and decompressed;
	// 0: 64 MiB, as the specification recommends.
	MaxBytes int
	Timeout  time.Duration // of each step of a case; 0: 5s
	SpecOnly bool          // check only what the specification says
	Progress func(done, of int, r Result)
}

func (o *Options) defaults() {
	if o.CountsWithin == 0 {
		o.CountsWithin = 250 * time.Millisecond
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 64 << 20
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Signals == nil {
		all := otlp.Signals()
		o.Signals = all[:]
	}
	if o.Progress == nil {
		o.Progress = func(int, int, Result) {}
	}
}

// Result is the result of one case.
type Result struct {
	ID      string   `json:"id"`
	Family  string   `json:"family"`
	Bad     bool     `json:"bad"` // must be refused; otherwise unusual but valid
	Got     string   `json:"got"`
	Wrong   []string `json:"wrong,omitempty"`   // empty: passed
	Skipped string   `json:"skipped,omitempty"` // why
	// Took is in seconds and includes the healthy clients' requests.
	Took float64 `json:"took"`
}

// Run sends all cases, one after the other, and a healthy client's requests
// between them. It returns an error if the server cannot be tested; the server's
// faults are in the results.
func Run(ctx context.Context, cases []Case, o Options) ([]Result, error) {
	o.defaults()
	h, err := newHealthy(&o)
	if err != nil {
		return nil, err
	}
	defer h.close()
	r := &runner{Options: o, healthy: h}
	for _, s := range o.Signals {
		if err := h.send(ctx, s); err != nil {
			return nil, fmt.Errorf("before the first case: %w", err)
		}
	}
	r.speaksH2C = o.HTTP != "" && r.probeH2C()
	chosen := slices.Collect(func(yield func(*Case) bool) {
		for i := range cases {
			if c := &cases[i]; r.wants(c) && !yield(c) {
				return
			}
		}
	})
	results := make([]Result, 0, len(chosen))
	for i, c := range chosen {
		if err := ctx.Err(); err != nil {
			return results, fmt.Errorf("after %d of %d cases: %w", i, len(chosen), err)
		}
		began := time.Now()
		res := r.run(ctx, c)
		res.Took = time.Since(began).Seconds()
		results = append(results, res)
		o.Progress(i+1, len(chosen), res)
	}
	return results, nil
}

type runner struct {
	Options
	healthy   *healthy
	speaksH2C bool
}

func (r *runner) wants(c *Case) bool {
	return (r.Only == nil || r.Only.MatchString(c.ID())) && slices.Contains(r.Signals, c.Signal) && r.address(c) != ""
}

func (r *runner) address(c *Case) string {
	if c.server() == "grpc" {
		return r.GRPC
	}
	return r.HTTP
}

// probeH2C reports whether the HTTP port accepts HTTP/2 without TLS, which OTLP
// leaves open.
func (r *runner) probeH2C() bool {
	conn, err := dialH2(r.HTTP, r.Timeout, false)
	if err != nil {
		return false
	}
	defer conn.Close()
	return conn.roundTrip(validFor(overH2C, r.Signals[0])).outcome == "200"
}

// run sends one case and checks everything that it may have changed.
func (r *runner) run(ctx context.Context, c *Case) Result {
	res := Result{ID: c.ID(), Family: c.Family, Bad: c.Bad()}
	fail := func(err error) Result {
		res.Wrong = append(res.Wrong, err.Error())
		return res
	}
	if c.Transport == overH2C && !r.speaksH2C {
		res.Skipped = "the HTTP port does not accept HTTP/2 without TLS"
		return res
	}
	var before Counts
	if r.Counts != nil {
		var err error
		if before, err = r.Counts(ctx); err != nil {
			return fail(err)
		}
	}
	a, conn, err := r.send(c)
	if conn != nil {
		defer conn.Close()
	}
	if err != nil {
		return fail(err)
	}
	res.Got = a.String()
	res.Wrong = c.want.check(a, c, r.SpecOnly)
	if r.Counts != nil {
		if wrong := r.counted(ctx, c, before); wrong != "" {
			res.Wrong = append(res.Wrong, wrong)
		}
	}
	if wrong := r.reuse(c, a, conn); wrong != "" && !r.SpecOnly {
		res.Wrong = append(res.Wrong, wrong)
	}
	if err := r.healthy.send(ctx, c.Signal); err != nil {
		res.Wrong = append(res.Wrong, err.Error())
	}
	return res
}

// send also returns the connection if it can be reused.
func (r *runner) send(c *Case) (*answer, client, error) {
	req, err := c.request(r.MaxBytes)
	if err != nil {
		return nil, nil, fmt.Errorf("make the body: %w", err)
	}
	if c.Transport == overRawHTTP || c.Transport == overRawGRPC {
		a, err := sendRaw(c, r.address(c), req.body, r.Timeout)
		return a, nil, err
	}
	conn, err := r.dial(c.Transport)
	if err != nil {
		return nil, nil, err
	}
	return conn.roundTrip(req), conn, nil
}

func (r *runner) dial(transport string) (client, error) {
	switch transport {
	case overHTTP:
		return dialH1(r.HTTP, r.Timeout)
	case overH2C:
		return dialH2(r.HTTP, r.Timeout, false)
	case overGRPC:
		return dialH2(r.GRPC, r.Timeout, true)
	}
	return nil, errors.New("no client for transport " + transport)
}

// counted waits until the counters have changed as they should.
func (r *runner) counted(ctx context.Context, c *Case, before Counts) string {
	for until := time.Now().Add(r.CountsWithin); ; time.Sleep(time.Millisecond) {
		after, err := r.Counts(ctx)
		if err != nil {
			return err.Error()
		}
		wrong := checkMetric(c, before, after)
		if wrong == "" || time.Now().After(until) {
			return wrong
		}
	}
}

// reuse sends a good request on the same connection. A refusal must not end the
// connection, since other requests may share it.
func (r *runner) reuse(c *Case, a *answer, conn client) string {
	keep := c.conn
	if keep == "" && a.outcome != "413" {
		keep = "open"
	}
	if conn == nil || keep != "open" {
		return ""
	}
	if again := conn.roundTrip(validFor(c.Transport, c.Signal)); again.outcome != "200" && again.outcome != "OK" {
		return fmt.Sprintf("a good request on the same connection afterwards got %s", again)
	}
	return ""
}

// validFor is a good request for one of the transports that have a client.
func validFor(transport string, s otlp.Signal) *request {
	c := Case{Transport: transport, Signal: s, format: "protobuf"}
	r := &request{method: "POST", path: s.Spec().Path, headers: c.requestHeaders(), body: validRequest(s), hasBody: true}
	if transport == overGRPC {
		r.path, r.body = s.Spec().Method, prefixed(0, uint32(len(r.body)), r.body)
	}
	return r
}
