package otlpreceiver

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	profilespb "go.opentelemetry.io/proto/otlp/profiles/v1development"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/otlp"
)

// badData returns bodies that can be decompressed and are not valid requests.
func badData() map[string]struct {
	signal otlp.Signal
	body   []byte
} {
	type bad = struct {
		signal otlp.Signal
		body   []byte
	}
	good := request(otlp.Traces, 3)
	return map[string]bad{
		"truncated":           {otlp.Traces, good[:len(good)-3]},
		"length over the end": {otlp.Logs, []byte{0x0a, 0x7f, 1}},
		"varint over-long":    {otlp.Metrics, bytes.Repeat([]byte{0xff}, 12)},
		"wrong wire type":     {otlp.Traces, []byte{0x08, 1}}, // resource_spans as a varint
		"field number 0":      {otlp.Logs, []byte{0x02, 0}},
		"end group alone":     {otlp.Logs, []byte{0x0c}},
		"random":              {otlp.Profiles, []byte("this is not protobuf......")},
		"deep nesting":        {otlp.Traces, marshal(nested(10_000))},
		"index out of range": {otlp.Profiles, marshal(profile(&profilespb.ProfilesDictionary{StackTable: []*profilespb.Stack{{}}},
			&profilespb.Sample{StackIndex: 7}))},
		"index below zero": {otlp.Profiles, marshal(profile(&profilespb.ProfilesDictionary{StackTable: []*profilespb.Stack{{}}},
			&profilespb.Sample{StackIndex: -1}))},
		"index without a dictionary": {otlp.Profiles, marshal(profile(nil, &profilespb.Sample{StackIndex: 1}))},
	}
}

func nested(depth int) *coltraces.ExportTraceServiceRequest {
	v := &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}
	for range depth {
		v = &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{v}}}}
	}
	return &coltraces.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{
		{Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{{Key: "deep", Value: v}}}}}}
}

func profile(d *profilespb.ProfilesDictionary, s *profilespb.Sample) *colprofiles.ExportProfilesServiceRequest {
	return &colprofiles.ExportProfilesServiceRequest{Dictionary: d, ResourceProfiles: []*profilespb.ResourceProfiles{
		{ScopeProfiles: []*profilespb.ScopeProfiles{{Profiles: []*profilespb.Profile{{Samples: []*profilespb.Sample{s}}}}}}}}
}

// withGoodNeighbour runs bad while another client keeps sending, on its own
// connections, and checks that none of the good requests suffers.
func withGoodNeighbour(t *testing.T, r *rig, bad func()) {
	t.Helper()
	good := &rig{Receiver: r.Receiver, t: t, sink: r.sink, conn: dial(t, r.GRPCAddr().String()), web: &http.Client{Transport: &http.Transport{}}}
	defer good.web.CloseIdleConnections()
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		sent := 0
		defer func() { done <- sent }()
		for {
			for _, via := range testTransports {
				if a := via.send(good, otlp.Metrics, "gzip", request(otlp.Metrics, 2)); !a.ok() {
					t.Errorf("the good neighbour's request over %s: %v", via.name, a.status)
				}
			}
			sent++
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond): // leave the others some processor
			}
		}
	}()
	bad()
	close(stop)
	sent := <-done
	for _, via := range testTransports {
		if got := r.counts(otlp.Metrics, via.name); got[0] < int64(2*sent) || got[1] != 0 || got[2] != 0 {
			t.Errorf("%s: accepted, refused, failed = %v, the good neighbour sent %d", via.name, got, 2*sent)
		}
	}
}

// Invalid requests are answered with InvalidArgument and 400 with a BadRequest,
// do not reach the consumer, and are recorded in the span.
func TestBadData(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	withGoodNeighbour(t, r, func() {
		for name, bad := range badData() {
			for _, via := range testTransports {
				for _, encoding := range []string{"", "gzip"} {
					before := r.counts(bad.signal, via.name)
					a := via.send(r, bad.signal, encoding, bad.body)
					switch {
					case a.ok():
						t.Errorf("%s over %s %s: success, want InvalidArgument", name, via.name, encoding)
					case codes.Code(a.status.Code) != codes.InvalidArgument || a.http != 0 && a.http != http.StatusBadRequest:
						t.Errorf("%s over %s %s: %d %v, want InvalidArgument, 400", name, via.name, encoding, a.http, a.status)
					case badRequest(a.status).GetDescription() == "" || a.retryAfter != "":
						t.Errorf("%s over %s %s: %v, want a BadRequest detail", name, via.name, encoding, a.status)
					}
					if bad.signal == otlp.Metrics {
						continue // the neighbour's
					}
					if after := r.counts(bad.signal, via.name); after[0] > max(0, before[0]) || after[1] > max(0, before[1]) || after[2] > max(0, before[2]) {
						t.Errorf("%s over %s: counted %v, before %v", name, via.name, after, before)
					}
				}
			}
		}
	})
	for _, b := range r.sink.All() {
		if b.Signal != otlp.Metrics || b.Items != 2 {
			t.Errorf("the consumer saw %d bad %s", b.Items, b.Signal)
		}
	}
}

const badLimit = 1 << 20

func limitedConfig() Config {
	cfg := testConfig()
	g, h := cfg.Protocols.GRPC, cfg.Protocols.HTTP
	g.MaxRecvMsgSizeMiB, h.MaxRequestBodySize = badLimit>>20, badLimit
	return Config{Protocols: Protocols{GRPC: g, HTTP: h}}
}

func TestBadHTTPRequests(t *testing.T) {
	t.Parallel()
	const pb, js = "application/x-protobuf", "application/json"
	body := request(otlp.Traces, 1)
	zipped := compressed("gzip", body)
	bomb := bytes.Repeat([]byte{0}, 16*badLimit)
	tests := []struct {
		name, method, path, contentType, encoding string
		body                                      []byte
		status                                    int
		code                                      codes.Code
		answerType, text                          string
	}{
		{"wrong path", "POST", "/v2/traces", pb, "", body, 404, codes.Unimplemented, pb, `"/v2/traces"`},
		{"root", "POST", "/", js, "", body, 404, codes.Unimplemented, js, `"/"`},
		{"slash at the end", "POST", "/v1/traces/", "", "", body, 404, codes.Unimplemented, js, `"/v1/traces/"`},
		{"GET", "GET", "/v1/traces", "", "", nil, 405, codes.Unimplemented, js, "expected POST"},
		{"PUT", "PUT", "/v1/logs", pb, "", body, 405, codes.Unimplemented, pb, "expected POST"},
		{"HEAD", "HEAD", "/v1/logs", pb, "", nil, 405, codes.Unimplemented, pb, ""},
		{"no type", "POST", "/v1/traces", "", "", body, 415, codes.InvalidArgument, js, "no Content-Type: expected application/x-protobuf"},
		{"text", "POST", "/v1/traces", "text/plain", "", body, 415, codes.InvalidArgument, js, `"text/plain": expected application/x-protobuf`},
		{"malformed type", "POST", "/v1/traces", "application/", "", body, 415, codes.InvalidArgument, js, "expected"},
		{"json", "POST", "/v1/traces", js, "", []byte("1234"), 400, codes.InvalidArgument, js, "byte 0"},
		{"unknown encoding", "POST", "/v1/traces", pb, "br", body, 400, codes.InvalidArgument, pb, `"br": expected gzip, zstd, zlib, deflate, snappy, x-snappy-framed, lz4 or none`},
		{"two encodings", "POST", "/v1/traces", pb, "gzip, gzip", zipped, 400, codes.InvalidArgument, pb, `"gzip, gzip"`},
		{"gzip without end", "POST", "/v1/traces", pb, "gzip", bytes.Repeat(compressed("gzip", nil), badLimit/10), 413, codes.ResourceExhausted, pb, "limit of 1048576 bytes"},
		{"two encoding headers", "POST", "/v1/traces", pb, "gzip; br", zipped, 400, codes.InvalidArgument, pb, `"gzip, br"`},
		{"no gzip", "POST", "/v1/traces", pb, "gzip", body, 400, codes.InvalidArgument, pb, "corrupt"},
		{"half a gzip", "POST", "/v1/traces", pb, "gzip", zipped[:len(zipped)/2], 400, codes.InvalidArgument, pb, "corrupt"},
		{"gzip with a wrong checksum", "POST", "/v1/traces", pb, "gzip", flip(zipped, len(zipped)-6), 400, codes.InvalidArgument, pb, "corrupt"},
		{"no zstd", "POST", "/v1/traces", pb, "zstd", body, 400, codes.InvalidArgument, pb, "corrupt"},
		{"empty gzip", "POST", "/v1/traces", pb, "gzip", nil, 400, codes.InvalidArgument, pb, "corrupt"},
		{"gzip bomb", "POST", "/v1/traces", pb, "gzip", compressed("gzip", bomb), 413, codes.ResourceExhausted, pb, "limit of 1048576 bytes"},
		{"zstd bomb", "POST", "/v1/traces", pb, "zstd", compressed("zstd", bomb), 413, codes.ResourceExhausted, pb, "limit of 1048576 bytes"},
		{"gzip bomb at the limit", "POST", "/v1/traces", pb, "gzip", compressed("gzip", bomb[:badLimit]), 400, codes.InvalidArgument, pb, ""},
		{"too long", "POST", "/v1/traces", pb, "", bomb[:badLimit+1], 413, codes.ResourceExhausted, pb, "limit of 1048576 bytes"},
	}
	r := newRig(t, limitedConfig())
	withGoodNeighbour(t, r, func() {
		for _, tt := range tests {
			header := http.Header{}
			if tt.contentType != "" {
				header.Set("Content-Type", tt.contentType)
			}
			if tt.encoding != "" {
				header["Content-Encoding"] = strings.Split(tt.encoding, "; ")
			}
			a := r.request(tt.method, tt.path, header, tt.body)
			if a.http != tt.status || a.header.Get("Content-Type") != tt.answerType {
				t.Errorf("%s: %d %s %v, want %d %s", tt.name, a.http, a.header.Get("Content-Type"), a.status, tt.status, tt.answerType)
			}
			if tt.method != "HEAD" && (codes.Code(a.status.GetCode()) != tt.code || !strings.Contains(a.status.GetMessage(), tt.text)) {
				t.Errorf("%s: %v, want %s with %q", tt.name, a.status, tt.code, tt.text)
			}
			if allow := a.header.Get("Allow"); (allow == "POST") != (tt.status == 405) {
				t.Errorf("%s: Allow %q", tt.name, allow)
			}
		}
	})
	for _, b := range r.sink.All() {
		if b.Signal != otlp.Metrics {
			t.Errorf("the consumer saw bad %s", b.Signal)
		}
	}
}

func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 0x55
	return b
}

// frame is a gRPC message with its prefix.
func frame(compressed byte, length int, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{compressed}, uint32(length))
	return append(b, body...)
}

// Over a plain HTTP/2 client a gRPC request can be anything.
func TestBadGRPCRequests(t *testing.T) {
	t.Parallel()
	body := request(otlp.Traces, 1)
	zipped := compressed("gzip", body)
	whole := frame(0, len(body), body)
	bomb := compressed("gzip", bytes.Repeat([]byte{0}, 16*badLimit))
	atLimit := compressed("zstd", bytes.Repeat([]byte{0}, badLimit))
	traces := otlp.Traces.Spec().Method
	tests := []struct {
		name, path, contentType, encoding string
		body                              []byte
		code                              codes.Code
	}{
		{"good", traces, "application/grpc", "", whole, codes.OK},
		{"unknown method", "/opentelemetry.proto.collector.trace.v1.TraceService/Import", "application/grpc", "", whole, codes.Unimplemented},
		{"unknown service", "/x.Y/Export", "application/grpc", "", whole, codes.Unimplemented},
		{"malformed method", "/Export", "application/grpc", "", whole, codes.Unimplemented},
		{"unknown encoding", traces, "application/grpc", "br", frame(1, len(body), body), codes.Unimplemented},
		{"wrong content type", traces, "application/x-protobuf", "", whole, codes.InvalidArgument},
		{"no message", traces, "application/grpc", "", nil, codes.Internal},
		{"half a message", traces, "application/grpc", "", whole[:len(whole)-5], codes.Internal},
		{"two messages", traces, "application/grpc", "", append(bytes.Clone(whole), whole...), codes.Internal},
		{"length over the limit", traces, "application/grpc", "", frame(0, badLimit+1, body), codes.ResourceExhausted},
		{"length of 4 GiB", traces, "application/grpc", "", frame(0, 1<<32-1, body), codes.ResourceExhausted},
		{"compressed without an encoding", traces, "application/grpc", "", frame(1, len(zipped), zipped), codes.Internal},
		{"corrupt gzip", traces, "application/grpc", "gzip", frame(1, len(zipped), flip(zipped, len(zipped)/2)), codes.InvalidArgument},
		{"corrupt zstd", traces, "application/grpc", "zstd", frame(1, len(body), body), codes.InvalidArgument},
		{"gzip bomb", traces, "application/grpc", "gzip", frame(1, len(bomb), bomb), codes.ResourceExhausted},
		{"zstd bomb at the limit", traces, "application/grpc", "zstd", frame(1, len(atLimit), atLimit), codes.InvalidArgument},
	}
	// gRPC's own server, and ours on the port of HTTP, say the same.
	one := limitedConfig()
	one.Protocols.GRPC.Endpoint = freePort(t)
	one.Protocols.HTTP.Endpoint = one.Protocols.GRPC.Endpoint
	for ports, cfg := range map[string]Config{"two ports": limitedConfig(), "one port": one} {
		r := newRigWith(t, cfg, setup{budget: admission.New(admission.Config{Bytes: 64 << 20})})
		good := 0
		withGoodNeighbour(t, r, func() {
			for _, tt := range tests {
				header := http.Header{"Content-Type": {tt.contentType}, "Te": {"trailers"}}
				if tt.encoding != "" {
					header.Set("Grpc-Encoding", tt.encoding)
				}
				if ports == "one port" && tt.contentType != "application/grpc" {
					continue // what is not gRPC is for OTLP/HTTP there
				}
				a := h2Do(t, nil, r.GRPCAddr(), tt.path, header, bytes.NewReader(tt.body))
				if a.code() != tt.code {
					t.Errorf("%s, %s: status %s (%s%s), want %s", ports, tt.name, a.code(), a.Trailer.Get("Grpc-Message"), a.Header.Get("Grpc-Message"), tt.code)
				}
				if tt.code == codes.OK {
					good++
				}
				if st := a.details(t); retryDelay(st) >= 0 {
					t.Errorf("%s, %s: %v asks for a retry", ports, tt.name, st)
				}
			}
		})
		for _, b := range r.sink.All() {
			if b.Signal != otlp.Metrics {
				good--
			}
		}
		if good != 0 {
			t.Errorf("%s: the consumer saw %d bad requests", ports, -good)
		}
		r.idle()
	}
}

// h2Client speaks HTTP/2 without TLS, as gRPC does.
func h2Client(t *testing.T) *http.Client {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: &p}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// A client on the wrong port is refused, and the port works on.
func TestWrongProtocolOnPort(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	withGoodNeighbour(t, r, func() {
		conn, err := net.Dial("tcp", r.GRPCAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if said, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(said), "HTTP/1.1 400 ") || !strings.Contains(string(said), "this is the OTLP/gRPC port") {
			t.Errorf("HTTP/1 on the gRPC port: %q, %v, want the connection closed with an answer", said, err)
		}

		err = dial(t, r.HTTPAddr().String()).Invoke(t.Context(), otlp.Logs.Spec().Method, request(otlp.Logs, 1), new([]byte),
			grpc.ForceCodecV2(clientCodec{}))
		if st := status.Convert(err); st.Code() != codes.Unimplemented || !strings.Contains(st.Message(), "this is the OTLP/HTTP port") {
			t.Errorf("gRPC on the HTTP port: %v, want Unimplemented and where to go", err)
		}
	})
}

// A body that does not come as announced costs its sender only.
func TestHTTPBodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	h := new(*cfg.Protocols.HTTP)
	h.ReadTimeout = 300 * time.Millisecond
	cfg.Protocols.HTTP = h
	r := newRig(t, cfg)
	withGoodNeighbour(t, r, func() {
		for _, hangUp := range []bool{true, false} {
			conn, err := net.Dial("tcp", r.HTTPAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 50000000\r\n\r\nabc")
			if !hangUp {
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				resp.Request = &http.Request{Method: http.MethodPost}
				if a := readAnswer(t, resp); a.http != http.StatusServiceUnavailable || codes.Code(a.status.Code) != codes.Unavailable {
					t.Errorf("a body that stopped coming: %+v, want 503", a)
				}
			}
			_ = conn.Close()
		}
	})
}
