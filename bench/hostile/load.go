package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"

	"github.com/penstock-telemetry/penstock/bench/payload"
	"github.com/penstock-telemetry/penstock/internal/test/hostile"
)

// loadJob describes the load of many senders of many clients. Each sender has one
// request in flight at a time.
type loadJob struct {
	Clients   int // each with its own address
	FirstAddr int
	Senders   int     // of each client
	PerSecond float64 // requests of each client; 0 means as many as are answered
	Items     int     // log records a request
	Encoding  string  // "" or "gzip"; compressed once, so that the sender needs little CPU
	Reconnect bool    // a new connection for each request
	For       time.Duration
}

// loadReport counts requests by result.
type loadReport struct {
	Sent, OK, Later int
	// InTime counts those of OK that were accepted before the time was over;
	// the others were still in flight.
	InTime int
	// Mute counts refusals without a retry delay, which senders treat as
	// permanent.
	Mute    int
	Failed  int // no response
	Answers map[string]int
	Errors  []string
	Seconds float64 // planned duration
	// LeastOK is the smallest share of accepted requests of any client.
	LeastOK float64
}

func (r loadReport) goodput() float64 { return float64(r.InTime) / r.Seconds }

func (r loadReport) String() string {
	return fmt.Sprintf("%d sent (%.0f/s), %d accepted (%.0f/s), %d to be retried, %d refused without a retry delay, %d without a response",
		r.Sent, float64(r.Sent)/r.Seconds, r.OK, r.goodput(), r.Later, r.Mute, r.Failed)
}

// asIs replaces gRPC's gzip if the body is already compressed.
type asIs struct{}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func (asIs) Name() string                                 { return "gzip" }
func (asIs) Compress(w io.Writer) (io.WriteCloser, error) { return nopCloser{w}, nil }
func (asIs) Decompress(r io.Reader) (io.Reader, error)    { return r, nil }

// share returns the share of sent requests that were accepted.
func (l *loadReport) share() float64 { return float64(l.OK) / float64(max(l.Sent, 1)) }

// load runs the job.
func (j job) load(ctx context.Context) (loadReport, error) {
	body, err := hostile.Compress(j.Port, j.Load.Encoding, records(j.Load.Items))
	if err != nil {
		return loadReport{}, err
	}
	if j.Load.Encoding != "" {
		encoding.RegisterCompressor(asIs{})
	}
	ctx, cancel := context.WithTimeout(ctx, j.Load.For)
	defer cancel()
	perClient := make([]loadReport, j.Load.Clients)
	var all sync.WaitGroup
	for i := range perClient {
		all.Go(func() { perClient[i] = j.client(ctx, hostile.Source(j.Load.FirstAddr+i), body) })
	}
	all.Wait()
	sum := loadReport{Answers: map[string]int{}, Seconds: j.Load.For.Seconds(), LeastOK: 1}
	for _, c := range perClient {
		sum.merge(c)
	}
	return sum, nil
}

// records returns a request of n records. After the first hundred they repeat:
// concatenated requests are one request, and compress to very few bytes.
func records(n int) []byte {
	const unit = 100
	if n <= unit {
		return payload.Logs(n)
	}
	return bytes.Repeat(payload.Logs(unit), n/unit)
}

// merge adds a client's report.
func (l *loadReport) merge(c loadReport) {
	l.Sent, l.OK, l.InTime = l.Sent+c.Sent, l.OK+c.OK, l.InTime+c.InTime
	l.Later, l.Mute, l.Failed = l.Later+c.Later, l.Mute+c.Mute, l.Failed+c.Failed
	for k, n := range c.Answers {
		l.Answers[k] += n
	}
	if len(l.Errors) < 5 {
		l.Errors = append(l.Errors, c.Errors...)
	}
	l.LeastOK = min(l.LeastOK, c.share())
}

// answerTimeout is the timeout of a request. SDKs wait ten seconds.
const answerTimeout = 10 * time.Second

// client runs the senders of one client.
func (j job) client(ctx context.Context, from string, body []byte) loadReport {
	send, hangUp, err := j.sender(from, body)
	if err != nil {
		return loadReport{Failed: 1, Errors: []string{err.Error()}}
	}
	defer hangUp()
	reports := make([]loadReport, j.Load.Senders)
	var all sync.WaitGroup
	for i := range reports {
		all.Go(func() { reports[i] = j.send(ctx, i, send) })
	}
	all.Wait()
	sum := loadReport{Answers: map[string]int{}}
	for _, r := range reports {
		sum.merge(r)
	}
	return sum
}

// send is the loop of one sender. Requests that are due are sent late rather
// than skipped.
func (j job) send(ctx context.Context, i int, send func(context.Context) (hostile.Answer, error)) loadReport {
	r := loadReport{Answers: map[string]int{}}
	var interval time.Duration
	due := time.Now()
	if j.Load.PerSecond > 0 {
		interval = time.Duration(float64(j.Load.Senders) / j.Load.PerSecond * float64(time.Second))
		due = due.Add(interval * time.Duration(i) / time.Duration(j.Load.Senders))
	}
	for {
		select {
		case <-ctx.Done():
			return r
		case <-time.After(time.Until(due)):
		}
		due = due.Add(interval)
		call, cancel := context.WithTimeout(context.Background(), answerTimeout)
		a, err := send(call)
		cancel()
		r.Sent++
		switch {
		case err != nil || a.HTTP == 0 && a.GRPC == codes.DeadlineExceeded: // the client's own timeout
			r.Failed++
			err = cmp.Or(err, context.DeadlineExceeded)
			if len(r.Errors) < 2 {
				r.Errors = append(r.Errors, err.Error())
			}
			continue
		case a.OK():
			r.OK++
			if ctx.Err() == nil {
				r.InTime++
			}
		case a.Later():
			r.Later++
		default:
			r.Mute++
		}
		r.Answers[a.String()]++
	}
}

// sender returns a function that sends one request, and one that closes the
// client.
func (j job) sender(from string, body []byte) (func(context.Context) (hostile.Answer, error), func(), error) {
	t := j.target()
	if j.Port == hostile.HTTP {
		c := hostile.DialHTTP(t, from)
		tr := c.Transport.(*http.Transport)
		tr.MaxIdleConnsPerHost, tr.DisableKeepAlives = j.Load.Senders, j.Load.Reconnect
		return func(ctx context.Context) (hostile.Answer, error) {
			return hostile.PostHTTP(ctx, c, t, j.Load.Encoding, body)
		}, c.CloseIdleConnections, nil
	}
	if j.Load.Reconnect {
		return func(ctx context.Context) (hostile.Answer, error) {
			c, err := hostile.DialGRPC(t, from)
			if err != nil {
				return hostile.Answer{}, err
			}
			defer c.Close()
			return hostile.CallGRPC(ctx, c, j.Load.Encoding, body), nil
		}, func() {}, nil
	}
	c, err := hostile.DialGRPC(t, from)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) (hostile.Answer, error) {
		return hostile.CallGRPC(ctx, c, j.Load.Encoding, body), nil
	}, func() { _ = c.Close() }, nil
}
