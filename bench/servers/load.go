package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/penstock-telemetry/penstock/bench/payload"
	"github.com/penstock-telemetry/penstock/otlp"
)

// load sends sc.Requests requests over conns connections, one in flight on
// each. Every request must succeed.
func load(p *process, sc scenario, conns int) error {
	body := payload.Traces(sc.Items)
	switch {
	case sc.Wide:
		body = payload.WideLogs(sc.Items)
	case sc.Logs:
		body = payload.VariedLogs(sc.Items)
	}
	send := grpcSender
	if sc.Transport == "http" {
		send = httpSender
	}
	var g errgroup.Group
	for i := range conns {
		n := sc.Requests / conns
		if i < sc.Requests%conns {
			n++
		}
		g.Go(func() error { return send(p, sc, body, n) })
	}
	return g.Wait()
}

// rawCodec sends bytes without encoding, and discards the response.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (rawCodec) Name() string                         { return "proto" }

// signal returns the signal of the requests.
func (sc *scenario) signal() otlp.Signal {
	if sc.Logs {
		return otlp.Logs
	}
	return otlp.Traces
}

// compressed is a compressor that writes bytes which are compressed already.
type compressed struct {
	encoding string
	bytes    []byte
}

func (c compressed) Type() string { return c.encoding }
func (c compressed) Do(w io.Writer, _ []byte) error {
	_, err := w.Write(c.bytes)
	return err
}

// discarding is a decompressor of responses, which are not read.
type discarding string

func (d discarding) Type() string               { return string(d) }
func (discarding) Do(io.Reader) ([]byte, error) { return nil, nil }

func grpcSender(p *process, sc scenario, body []byte, n int) error {
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}))}
	if sc.Compression != "" {
		z, err := compress(sc.Compression, body)
		if err != nil {
			return err
		}
		options = append(options,
			//lint:ignore SA1019 the way that does not write to gRPC's registry
			grpc.WithCompressor(compressed{sc.Compression, z}),
			//lint:ignore SA1019 as above
			grpc.WithDecompressor(discarding(sc.Compression)))
	}
	conn, err := grpc.NewClient(p.grpc, options...)
	if err != nil {
		return err
	}
	defer conn.Close()
	for range n {
		if err := conn.Invoke(context.Background(), sc.signal().Spec().Method, body, nil); err != nil {
			return err
		}
	}
	return nil
}

func httpSender(p *process, sc scenario, body []byte, n int) error {
	body, err := compress(sc.Compression, body)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range n {
		req, err := http.NewRequest(http.MethodPost, "http://"+p.http+sc.signal().Spec().Path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-protobuf")
		if sc.Compression != "" {
			req.Header.Set("Content-Encoding", sc.Compression)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d, %w", resp.StatusCode, err)
		}
	}
	return nil
}

func compress(how string, body []byte) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "":
		return body, nil
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		z, err := zstd.NewWriter(&out)
		if err != nil {
			return nil, err
		}
		w = z
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}
