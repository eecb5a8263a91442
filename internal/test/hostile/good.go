package hostile

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// Good is the client that an attack must not affect: small requests at a steady
// rate over one connection, each due at its time, whether or not the one before was
// answered.
type Good struct {
	Target    Target
	Port      Port
	PerSecond int
	// Reconnect makes it open a connection for every request.
	Reconnect bool
	// Timeout is how long it waits for an answer; 0 means five seconds. SDKs wait ten.
	Timeout time.Duration
	// From is the client's address; empty: the system chooses it.
	From string
}

// MaxWaiting is how many requests of a good client may be unanswered. Further ones
// count as failed.
const MaxWaiting = 256

// Report is the result of a good client.
type Report struct {
	Sent, OK int
	P50, P99 time.Duration // of the successes, from the time each was due
	Errors   []string      // the first few
}

// Merge adds up reports of the same kind of client; the latencies are the worst.
func Merge(all ...Report) (sum Report) {
	for _, r := range all {
		sum.Sent, sum.OK = sum.Sent+r.Sent, sum.OK+r.OK
		sum.P50, sum.P99 = max(sum.P50, r.P50), max(sum.P99, r.P99)
		sum.Errors = append(sum.Errors, r.Errors...)
	}
	return sum
}

// Run sends until ctx ends, and then waits for the answers.
func (g Good) Run(ctx context.Context) Report {
	send, stop := g.sender()
	defer stop()
	t := &tally{}
	interval := time.Second / time.Duration(max(g.PerSecond, 1))
	room := make(chan struct{}, MaxWaiting)
	var open sync.WaitGroup
	for due := time.Now(); ; due = due.Add(interval) {
		select {
		case <-ctx.Done():
			open.Wait()
			return t.report()
		case <-time.After(time.Until(due)):
		}
		select {
		case room <- struct{}{}:
		default:
			t.add(0, fmt.Errorf("%d requests are waiting already", MaxWaiting))
			continue
		}
		open.Go(func() {
			defer func() { <-room }()
			call, cancel := context.WithTimeout(context.Background(), cmp.Or(g.Timeout, 5*time.Second))
			defer cancel()
			err := send(call)
			t.add(time.Since(due), err)
		})
	}
}

type tally struct {
	mu     sync.Mutex
	took   []time.Duration
	failed int
	errors []string
}

func (t *tally) add(took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.took = append(t.took, took)
		return
	}
	t.failed++
	if text := err.Error(); len(t.errors) < 5 && !slices.Contains(t.errors, text) {
		t.errors = append(t.errors, text)
	}
}

func (t *tally) report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Report{Sent: len(t.took) + t.failed, OK: len(t.took), Errors: t.errors}
	if r.OK > 0 {
		slices.Sort(t.took)
		r.P50, r.P99 = t.took[r.OK/2], t.took[r.OK*99/100]
	}
	return r
}

// sender returns functions that send one request and close the connection.
func (g Good) sender() (send func(context.Context) error, stop func()) {
	if g.Port == GRPC {
		return g.grpcSender()
	}
	return g.httpSender()
}

// Bytes is a codec for both ends of gRPC that passes []byte as they are.
type Bytes struct{}

// Marshal takes a []byte.
func (Bytes) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

// Unmarshal ignores the answer.
func (Bytes) Unmarshal(mem.BufferSlice, any) error { return nil }

// Name is the name of the codec that it replaces.
func (Bytes) Name() string { return "proto" }

// DialGRPC returns a client that sends bytes, from the address from if it is not "".
func DialGRPC(t Target, from string) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if t.TLS != nil {
		creds = credentials.NewTLS(t.TLS)
	}
	return grpc.NewClient("passthrough:///"+t.GRPC, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(Bytes{})),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dialTCP(ctx, addr, from) }))
}

func (g Good) grpcSender() (func(context.Context) error, func()) {
	body := Request(10)
	once := func(ctx context.Context, c *grpc.ClientConn) error {
		return c.Invoke(ctx, grpcPath, body, nil, grpc.WaitForReady(true))
	}
	if g.Reconnect {
		return func(ctx context.Context) error {
			c, err := DialGRPC(g.Target, g.From)
			if err != nil {
				return err
			}
			defer c.Close()
			return once(ctx, c)
		}, func() {}
	}
	c, err := DialGRPC(g.Target, g.From)
	if err != nil {
		return func(context.Context) error { return err }, func() {}
	}
	return func(ctx context.Context) error { return once(ctx, c) }, func() { _ = c.Close() }
}

// DialHTTP returns a client of HTTP/1.1, from the address from if it is not "". It
// keeps as many connections as it needs at a time.
func DialHTTP(t Target, from string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: t.TLS, MaxIdleConnsPerHost: MaxWaiting,
		IdleConnTimeout: time.Second, // less than the server's, so that no request is sent on a connection that ends
		DialContext:     func(ctx context.Context, _, addr string) (net.Conn, error) { return dialTCP(ctx, addr, from) },
	}}
}

func (t Target) url() string {
	if t.TLS != nil {
		return "https://" + t.HTTP
	}
	return "http://" + t.HTTP
}

func (g Good) httpSender() (func(context.Context) error, func()) {
	client := DialHTTP(g.Target, g.From)
	client.Transport.(*http.Transport).DisableKeepAlives = g.Reconnect
	body := Request(10)
	return func(ctx context.Context) error {
		a, err := post(ctx, client, g.Target.url()+httpPath, "", body)
		if err == nil && a.HTTP != http.StatusOK {
			err = fmt.Errorf("status %d", a.HTTP)
		}
		return err
	}, client.CloseIdleConnections
}

// post sends one request over HTTP.
func post(ctx context.Context, c *http.Client, url, encoding string, body []byte) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	resp, err := c.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return Answer{}, err
	}
	return Answer{HTTP: resp.StatusCode, RetryHint: resp.Header.Get("Retry-After") != ""}, nil
}

// PostHTTP sends one request with a client of DialHTTP.
func PostHTTP(ctx context.Context, c *http.Client, t Target, encoding string, body []byte) (Answer, error) {
	return post(ctx, c, t.url()+httpPath, encoding, body)
}

// CallGRPC sends one request with a client of DialGRPC, compressed by a codec
// that is registered with gRPC.
func CallGRPC(ctx context.Context, c *grpc.ClientConn, encoding string, body []byte) Answer {
	var opts []grpc.CallOption
	if encoding != "" {
		opts = append(opts, grpc.UseCompressor(encoding))
	}
	return answerOf(status.Convert(c.Invoke(ctx, grpcPath, body, nil, opts...)))
}
