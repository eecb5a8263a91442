package otlpclient

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// callLog records the calls of a client.
type callLog struct {
	mu  sync.Mutex
	all []Call
}

func (c *callLog) add(_ context.Context, call Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, call)
}

// take returns the calls since the last take.
func (c *callLog) take() (all []Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, c.all = c.all, nil
	return all
}

func TestCallsOverGRPC(t *testing.T) {
	t.Parallel()
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	cfg := config.DefaultGRPCClient()
	cfg.Endpoint, cfg.TLS.Insecure = backend.GRPCEndpoint(), true
	var seen callLog
	client, err := NewGRPC(cfg, 0, WithCalls(seen.add))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, code := range []codes.Code{codes.OK, codes.Unavailable} {
		backend.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: code} })
		_, _ = client.Send(t.Context(), Request{Signal: otlp.Logs})
		got := seen.take()
		if len(got) != 1 || got[0].Code != code || got[0].Signal != otlp.Logs || got[0].Took <= 0 || got[0].URL != nil {
			t.Errorf("%s: %+v", code, got)
		}
	}
}

func TestCallsOverHTTP(t *testing.T) {
	t.Parallel()
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	cfg := config.DefaultHTTPClient()
	cfg.Endpoint, cfg.Compression = backend.HTTPEndpoint(), "none"
	var seen callLog
	client, err := NewHTTP(cfg, nil, WithCalls(seen.add))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request := Request{Signal: otlp.Logs, Bytes: []byte{0x0a, 0}}
	for _, status := range []int{200, 400, 503} {
		backend.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{HTTPStatus: status} })
		_, _ = client.Send(t.Context(), request)
		got := seen.take()
		if len(got) != 1 {
			t.Fatalf("%d: %+v", status, got)
		}
		c := got[0]
		if c.HTTPStatus != status || c.Protocol != "HTTP/1.1" || c.RequestBytes != len(request.Bytes) || c.Took <= 0 ||
			c.Err != nil || !strings.HasSuffix(c.URL.String(), "/v1/logs") {
			t.Errorf("%d: %+v", status, c)
		}
	}
	backend.Stop()
	_, _ = client.Send(t.Context(), request)
	if got := seen.take(); len(got) != 1 || got[0].HTTPStatus != 0 || got[0].Err == nil || got[0].RequestBytes != 0 {
		t.Errorf("nobody listens: %+v", got)
	}
}

// Each redirect is a call of its own.
func TestCallsOfRedirects(t *testing.T) {
	t.Parallel()
	server := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/v1/logs" {
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		}
	})
	cfg := config.DefaultHTTPClient()
	cfg.Endpoint = server.URL
	var seen callLog
	client, err := NewHTTP(cfg, nil, WithCalls(seen.add))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Send(t.Context(), Request{Signal: otlp.Logs, Bytes: []byte{0x0a, 0}}); err != nil {
		t.Fatal(err)
	}
	got := seen.take()
	if len(got) != 2 || got[0].HTTPStatus != 307 || got[1].HTTPStatus != 200 || got[1].URL.Path != "/there" {
		t.Errorf("%+v", got)
	}
}
