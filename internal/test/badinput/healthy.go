package badinput

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/penstock-telemetry/penstock/otlp"
)

// healthy are ordinary clients, one for each transport and signal, each with its
// own connection. Their requests must always succeed.
type healthy struct {
	timeout time.Duration
	http    string
	conns   map[otlp.Signal]*grpc.ClientConn
	web     map[otlp.Signal]*http.Client
	bodies  map[otlp.Signal][]byte
	sent    int
}

func newHealthy(o *Options) (*healthy, error) {
	h := &healthy{timeout: o.Timeout, http: o.HTTP, conns: map[otlp.Signal]*grpc.ClientConn{},
		web: map[otlp.Signal]*http.Client{}, bodies: map[otlp.Signal][]byte{}}
	for _, s := range o.Signals {
		h.bodies[s] = validRequest(s)
		if o.HTTP != "" {
			h.web[s] = &http.Client{Timeout: o.Timeout, Transport: &http.Transport{}}
		}
		if o.GRPC == "" {
			continue
		}
		conn, err := grpc.NewClient("passthrough:///"+o.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
		if err != nil {
			h.close()
			return nil, fmt.Errorf("make a healthy client of %s: %w", o.GRPC, err)
		}
		h.conns[s] = conn
	}
	return h, nil
}

// send sends a good request of s over both transports.
func (h *healthy) send(ctx context.Context, s otlp.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	if conn := h.conns[s]; conn != nil {
		var response []byte
		if err := conn.Invoke(ctx, s.Spec().Method, h.bodies[s], &response); err != nil {
			return fmt.Errorf("a healthy client's %s over gRPC: %w", s, err)
		}
		h.sent++
	}
	web := h.web[s]
	if web == nil {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+h.http+s.Spec().Path, bytes.NewReader(h.bodies[s]))
	if err != nil {
		return fmt.Errorf("a healthy client's %s over HTTP: %w", s, err)
	}
	req.Header.Set("Content-Type", protobufType)
	resp, err := web.Do(req)
	if err != nil {
		return fmt.Errorf("a healthy client's %s over HTTP: %w", s, err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("a healthy client's %s over HTTP: %s %q %w", s, resp.Status, shorten(string(body)), err)
	}
	h.sent++
	return nil
}

func (h *healthy) close() {
	for _, c := range h.conns {
		_ = c.Close() // nothing is in flight
	}
	for _, w := range h.web {
		w.CloseIdleConnections()
	}
}

// bytesCodec sends and receives bytes.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
