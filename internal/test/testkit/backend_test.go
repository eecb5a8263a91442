package testkit

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/otlp"
)

// exchange sends one request and returns the body of the answer.
type exchange func(t *testing.T, s otlp.Signal, request []byte, encoding string) ([]byte, error)

// overGRPC uses no code of this module except the raw codec.
func overGRPC(t *testing.T, b *Backend) exchange {
	creds := insecure.NewCredentials()
	if b.CA() != nil {
		creds = credentials.NewTLS(&tls.Config{RootCAs: poolOf(b)})
	}
	conn, err := grpc.NewClient(b.GRPCEndpoint(), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func(t *testing.T, s otlp.Signal, request []byte, encoding string) (body []byte, err error) {
		ctx, cancel := context.WithTimeout(context.Background(), waitFor)
		defer cancel()
		ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant", "blue")
		opts := []grpc.CallOption{grpc.ForceCodecV2(rawCodec{}), grpc.WaitForReady(true)}
		if encoding != "" {
			opts = append(opts, grpc.UseCompressor(encoding))
		}
		return body, conn.Invoke(ctx, s.Spec().Method, &request, &body, opts...)
	}
}

func poolOf(b *Backend) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b.CA())
	return pool
}

// httpError is an HTTP answer that is not a success.
type httpError struct {
	code       int
	retryAfter string
	status     *spb.Status
}

func (e *httpError) Error() string { return e.status.String() }

func overHTTP(t *testing.T, b *Backend) exchange {
	transport := &http.Transport{}
	if b.CA() != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: poolOf(b)}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return func(t *testing.T, s otlp.Signal, request []byte, encoding string) ([]byte, error) {
		q, err := http.NewRequest(http.MethodPost, b.HTTPEndpoint()+s.Spec().Path, bytes.NewReader(compressed(t, request, encoding)))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", protobufType)
		q.Header.Set("X-Tenant", "blue")
		if encoding != "" {
			q.Header.Set("Content-Encoding", encoding)
		}
		a, err := transport.RoundTrip(q)
		if err != nil {
			return nil, err
		}
		defer a.Body.Close()
		body, err := io.ReadAll(a.Body)
		if err != nil || a.StatusCode == http.StatusOK {
			return body, err
		}
		st := &spb.Status{}
		if err := proto.Unmarshal(body, st); err != nil {
			t.Errorf("the body of %s is not a status: %v", a.Status, err)
		}
		return nil, &httpError{a.StatusCode, a.Header.Get("Retry-After"), st}
	}
}

func compressed(t *testing.T, b []byte, encoding string) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "":
		return b
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		w, _ = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var transports = map[string]func(*testing.T, *Backend) exchange{"grpc": overGRPC, "http": overHTTP}

func TestBackendKeepsRequests(t *testing.T) {
	t.Parallel()
	for name, over := range transports {
		for _, secure := range []bool{false, true} {
			b := NewBackend(t, BackendConfig{TLS: secure})
			send := over(t, b)
			for _, s := range otlp.Signals() {
				for i, encoding := range []string{"", "gzip", "zstd"} {
					request := Request(rngOf(uint64(i)), s, 10+i)
					body, err := send(t, s, request, encoding)
					if err != nil || len(body) != 0 {
						t.Fatalf("%s %s %q: answer %x, %v", name, s, encoding, body, err)
					}
					calls := b.Calls()
					c := calls[len(calls)-1]
					if c.Signal != s || c.Transport != name || c.Encoding != encoding || c.Items != 10+i || !bytes.Equal(c.Bytes, request) {
						t.Errorf("%s %s %q: the backend has %s %s %q of %d items", name, s, encoding, c.Transport, c.Signal, c.Encoding, c.Items)
					}
					if tenant := c.Header["x-tenant"]; len(tenant) != 1 || tenant[0] != "blue" || c.Peer == "" {
						t.Errorf("%s: header x-tenant %q, peer %q", name, tenant, c.Peer)
					}
				}
				b.Wait(t, s, 33)
				if n := b.Items(s); n != 33 || len(b.Requests(s)) != 3 {
					t.Errorf("%s %s: %d items in %d requests", name, s, n, len(b.Requests(s)))
				}
			}
		}
	}
}

// The script is what comes back, and only accepted requests are kept.
func TestBackendAnswersByScript(t *testing.T) {
	t.Parallel()
	for name, over := range transports {
		b := NewBackend(t, BackendConfig{})
		send := over(t, b)
		b.Script(
			Answer{Code: codes.Unavailable, Message: "later", RetryAfter: 1500 * time.Millisecond},
			Answer{Code: codes.InvalidArgument, Message: "bad"},
			Answer{Rejected: 3, Message: "too old"},
			Answer{HTTPStatus: http.StatusBadGateway, Code: codes.Unavailable},
			Answer{},
		)
		request := Request(rngOf(1), otlp.Logs, 7)
		try := func() ([]byte, error) { return send(t, otlp.Logs, request, "") }

		_, err := try()
		code, after, header := refusalOf(err)
		if code != codes.Unavailable || after != 1500*time.Millisecond || name == "http" && header != "503 2" {
			t.Errorf("%s: refused with %s after %s, %q", name, code, after, header)
		}
		_, err = try()
		if code, after, header = refusalOf(err); code != codes.InvalidArgument || after != 0 || name == "http" && header != "400 " {
			t.Errorf("%s: refused with %s after %s, %q", name, code, after, header)
		}
		body, err := try()
		rejected, message, parseErr := otlp.ParsePartialSuccess(body)
		if err != nil || parseErr != nil || rejected != 3 || string(message) != "too old" {
			t.Errorf("%s: %v, rejected %d, %q, %v", name, err, rejected, message, parseErr)
		}
		_, err = try()
		if _, _, header = refusalOf(err); err == nil || name == "http" && header != "502 " {
			t.Errorf("%s: %v, %q", name, err, header)
		}
		if _, err = try(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b.Respond(func(c Call) Answer {
			if c.Items != 7 {
				t.Errorf("%s: Respond sees %d items", name, c.Items)
			}
			return Answer{Code: codes.Internal}
		})
		if _, err = try(); err == nil {
			t.Errorf("%s: Respond was not called", name)
		}
		if n := len(b.Requests(otlp.Logs)); n != 2 || b.Items(otlp.Logs) != 7+4 || len(b.Calls()) != 6 {
			t.Errorf("%s: %d requests kept, %d items, %d calls", name, n, b.Items(otlp.Logs), len(b.Calls()))
		}
	}
}

// refusalOf reads either transport's error. header is the HTTP status and
// Retry-After.
func refusalOf(err error) (code codes.Code, after time.Duration, header string) {
	st, ok := status.FromError(err)
	var e *httpError
	if errors.As(err, &e) {
		st, ok = status.FromProto(e.status), true
		header = fmt.Sprintf("%d %s", e.code, e.retryAfter)
	}
	if !ok {
		return codes.Unknown, 0, err.Error()
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			after = info.RetryDelay.AsDuration()
		}
	}
	return st.Code(), after, header
}

func TestBackendDelaysAndHangsUp(t *testing.T) {
	t.Parallel()
	for name, over := range transports {
		b := NewBackend(t, BackendConfig{CountOnly: true})
		send := over(t, b)
		request := Request(rngOf(1), otlp.Traces, 2)

		b.Script(Answer{Delay: 30 * time.Millisecond})
		start := time.Now()
		if _, err := send(t, otlp.Traces, request, ""); err != nil || time.Since(start) < 30*time.Millisecond {
			t.Errorf("%s: %v after %s", name, err, time.Since(start))
		}
		if c := b.Calls()[0]; c.Bytes != nil || c.Items != 0 || c.Length != len(request) {
			t.Errorf("%s: CountOnly kept %d bytes, %d items, length %d", name, len(c.Bytes), c.Items, c.Length)
		}
		b.Script(Answer{HangUp: true})
		if _, err := send(t, otlp.Traces, request, ""); err == nil {
			t.Errorf("%s: the backend answered", name)
		}
		if _, err := send(t, otlp.Traces, request, ""); err != nil {
			t.Errorf("%s: after the hang-up: %v", name, err)
		}
		if calls := b.Calls(); calls[0].Peer == calls[2].Peer {
			t.Errorf("%s: the connection was not broken", name)
		}
	}
}

// Stop ends a delay, and Start serves at the same addresses.
func TestBackendRestarts(t *testing.T) {
	t.Parallel()
	for name, over := range transports {
		b := NewBackend(t, BackendConfig{})
		send := over(t, b)
		request := Request(rngOf(1), otlp.Metrics, 2)
		b.Script(Answer{Delay: time.Hour})
		failed := make(chan error)
		go func() {
			_, err := send(t, otlp.Metrics, request, "")
			failed <- err
		}()
		b.WaitArrived(t, 1)
		b.Stop()
		b.Stop()
		if err := <-failed; err == nil {
			t.Errorf("%s: no error from a stopped backend", name)
		}
		b.Start(t)
		if _, err := send(t, otlp.Metrics, request, ""); err != nil {
			t.Errorf("%s: after the restart: %v", name, err)
		}
		if n := b.Items(otlp.Metrics); n != 2 {
			t.Errorf("%s: %d items", name, n)
		}
	}
}

func TestBackendRefusesUnknownClients(t *testing.T) {
	t.Parallel()
	b := NewBackend(t, BackendConfig{})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for _, test := range []struct {
		method, path, contentType string
		want                      int
	}{
		{"POST", "/v1/else", protobufType, 404},
		{"GET", "/v1/traces", protobufType, 405},
		{"POST", "/v1/traces", "text/plain", 415},
	} {
		q, _ := http.NewRequest(test.method, b.HTTPEndpoint()+test.path, nil)
		q.Header.Set("Content-Type", test.contentType)
		a, err := transport.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != test.want {
			t.Errorf("%s %s: %s, want %d", test.method, test.path, a.Status, test.want)
		}
	}
	conn, err := grpc.NewClient(b.GRPCEndpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var in, out []byte
	err = conn.Invoke(context.Background(), "/no.such.Service/Export", &in, &out, grpc.ForceCodecV2(rawCodec{}))
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("unknown service: %v", err)
	}
}
