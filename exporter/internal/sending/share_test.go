package sending

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// An exporter may hold twice the bytes that are free, and one request of any size.
func TestShare(t *testing.T) {
	t.Parallel()
	budget := admission.New(admission.Config{Bytes: 300, MaxWait: -1})
	hold := func(n int) *admission.Ticket {
		t.Helper()
		ticket, err := budget.Acquire(t.Context(), fmt.Sprint(n), n)
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	all := hold(300)
	s := share{budget: budget}
	if err := s.take(300); err != nil {
		t.Errorf("one request of the whole budget: %v", err)
	}
	s.giveBack(300)
	all.Release()

	held := hold(200)
	if err := errors.Join(s.take(100), s.take(100)); err != nil {
		t.Errorf("two thirds: %v", err)
	}
	more := hold(10)
	if err := s.take(10); err == nil {
		t.Error("more than two thirds were taken")
	}
	more.Release()
	s.giveBack(100)
	if err := s.take(100); err != nil || s.held.Load() != 200 {
		t.Errorf("a refused request was counted: %v, %d bytes", err, s.held.Load())
	}
	held.Release()
	unbounded := share{}
	if err := errors.Join(unbounded.take(1000), unbounded.take(1000)); err != nil {
		t.Errorf("without a budget: %v", err)
	}
}

// request sends a request of n bytes with e, as a receiver does.
func request(ctx context.Context, e *Exporter, budget *admission.Budget, client string, body []byte) error {
	ticket, err := budget.Acquire(ctx, client, len(body))
	if err != nil {
		return err
	}
	b, err := pipeline.NewBatch(otlp.Traces, body[:len(body):len(body)], nil)
	if err != nil {
		ticket.Release()
		return err
	}
	b.Hold(ticket)
	defer b.Release()
	return e.Consume(ctx, b)
}

// large is a request of one span with a name of n bytes.
func large(n int) []byte {
	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	ss := rs.AddScopeSpans()
	span := ss.AddSpans()
	span.SetName(string(make([]byte, n)))
	span.Close()
	ss.Close()
	rs.Close()
	return e.Buf
}

// A destination that does not read does not take the budget from the one beside it,
// whose requests all succeed.
func TestStuckDestinationLeavesRoom(t *testing.T) {
	t.Parallel()
	for _, compression := range []config.Compression{"none", "gzip"} {
		budget := admission.New(admission.Config{Bytes: 32 << 20})
		open := func(endpoint string, timeout time.Duration) *Exporter {
			cfg := config.DefaultGRPCClient()
			cfg.Endpoint, cfg.TLS.Insecure, cfg.Compression = endpoint, true, compression
			e, err := New(component.Settings{Memory: budget}, gateway, func(...otlpclient.Option) (otlpclient.Sender, error) {
				return otlpclient.NewGRPC(cfg, timeout)
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.Shutdown(context.Background()) })
			return e
		}
		peer := testkit.SilentPeer{HTTP2: true, Window: 1<<31 - 1}
		stuck := open(peer.Start(t), 3*time.Second)
		healthy := open(testkit.NewBackend(t, testkit.BackendConfig{}).GRPCEndpoint(), time.Minute)
		body := large(1 << 20)

		flood, stop := context.WithCancel(t.Context())
		var senders sync.WaitGroup
		for i := range 64 {
			senders.Go(func() {
				for flood.Err() == nil {
					if request(context.Background(), stuck, budget, fmt.Sprint("sender ", i), body) != nil {
						time.Sleep(20 * time.Millisecond)
					}
				}
			})
		}
		testkit.Eventually(t, "the stuck destination has requests", func() bool { return stuck.share.held.Load() > 8<<20 })
		for i := range 50 {
			if err := request(t.Context(), healthy, budget, "healthy", body); err != nil {
				t.Errorf("%s: request %d beside a stuck destination: %v", compression, i, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		senders.Wait()
		testkit.Eventually(t, "all bytes are free again", func() bool { return budget.Stats().Used == 0 })
		if n := stuck.share.held.Load() + healthy.share.held.Load(); n != 0 {
			t.Errorf("%s: %d bytes of the shares were not given back", compression, n)
		}
	}
}
