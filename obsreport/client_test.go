package obsreport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

func newClient(t *testing.T, b bench, destination string) *Client {
	t.Helper()
	c, err := NewClient("otlp", sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)), to(destination))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientRPC(t *testing.T) {
	t.Parallel()
	b := bench{reader: sdkmetric.NewManualReader()}
	c := newClient(t, b, "dns:///gateway:4317")
	for _, code := range []uint32{0, 0, 14, 99} {
		c.Called(t.Context(), Call{Signal: otlp.Logs, Took: time.Second, Code: code})
	}
	c.Called(t.Context(), Call{Signal: 9})
	const method = "rpc.method=opentelemetry.proto.collector.logs.v1.LogsService/Export,rpc.response.status_code="
	const server = ",rpc.system.name=grpc,server.address=gateway,server.port=4317"
	if diff := cmp.Diff(map[string]int64{
		method + "OK" + server: 2,
		"error.type=UNAVAILABLE," + method + "UNAVAILABLE" + server: 1,
		"error.type=UNKNOWN," + method + "UNKNOWN" + server:         1,
	}, b.collect(t)["rpc.client.call.duration"].Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestClientHTTP(t *testing.T) {
	t.Parallel()
	const server = ",server.address=gateway,server.port=4318,url.scheme=http"
	u := &url.URL{Scheme: "http", Host: "gateway:4318", Path: "/v1/logs"}
	for want, call := range map[string]Call{
		"http.request.method=POST,http.response.status_code=404,network.protocol.name=http,network.protocol.version=1.1" + server:                          {URL: u, Status: 404, Protocol: "HTTP/1.1"},
		"error.type=net.OpError,http.request.method=POST,network.protocol.name=http" + server:                                                              {URL: u, Err: &net.OpError{}},
		"error.type=context.deadlineExceededError,http.request.method=POST,network.protocol.name=http" + server:                                            {URL: u, Err: context.DeadlineExceeded},
		"http.request.method=POST,network.protocol.name=http" + server:                                                                                     {URL: u, Status: 1000},
		"http.request.method=POST,http.response.status_code=200,network.protocol.name=http,server.address=gateway,url.scheme=https":                        {URL: &url.URL{Scheme: "https", Host: "gateway"}, Status: 200},
		"error.type=errors.errorString,http.request.method=POST,network.protocol.name=http,server.address=::1,url.scheme=http":                             {URL: &url.URL{Scheme: "http", Host: "[::1]"}, Err: errors.New("x")},
		"http.request.method=POST,http.response.status_code=200,network.protocol.name=http,network.protocol.version=2.0,server.address=h,url.scheme=https": {URL: &url.URL{Scheme: "https", Host: "h"}, Status: 200, Protocol: "HTTP/2.0"},
	} {
		b := bench{reader: sdkmetric.NewManualReader()}
		newClient(t, b, "http://gateway:4318").Called(t.Context(), call)
		got := b.collect(t)
		for _, name := range []string{"http.client.request.duration", "http.client.request.body.size"} {
			if diff := cmp.Diff(map[string]int64{want: 1}, got[name].Values); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

// A destination that redirects to ever new ports makes no more series than the limit.
func TestClientSeriesAreBounded(t *testing.T) {
	t.Parallel()
	b := bench{reader: sdkmetric.NewManualReader()}
	c := newClient(t, b, "http://gateway")
	for port := range 3 * maxSets {
		c.Called(t.Context(), Call{URL: &url.URL{Scheme: "https", Host: fmt.Sprintf("gateway:%d", port+1)}, Status: 308})
	}
	got := b.collect(t)["http.client.request.duration"].Values
	if len(got) != maxSets || got["otel.metric.overflow=true"] != 2*maxSets+1 {
		t.Errorf("%d series, %d calls in the last one", len(got), got["otel.metric.overflow=true"])
	}
}

// The levels add to each other, and each has the metrics of the Collector.
func TestLevels(t *testing.T) {
	t.Parallel()
	if got := NotAt("detailed"); len(got) != 0 {
		t.Errorf("not at detailed: %v", got)
	}
	if diff := cmp.Diff([]string{
		"http.server.request.duration", "http.server.request.body.size", "http.server.response.body.size",
		"rpc.server.call.duration", "rpc.server.request.size",
		"http.client.request.duration", "http.client.request.body.size", "rpc.client.call.duration",
		"otelcol_exporter_enqueue_size", "otelcol_exporter_enqueue_size_bytes",
		"otelcol_receiver_pprof_fetch_duration", "otelcol_processor_internal_duration", "otelcol_processor_batch_batch_send_size_bytes",
	}, NotAt("normal")); diff != "" {
		t.Errorf("not at normal (-want +got):\n%s", diff)
	}
	for _, in := range instruments {
		if in.from == fromNormal && in.collector != "" && in.name != "otelcol_receiver_requests" { // needs a feature gate there
			t.Errorf("%s is not at basic, where the Collector has it", in.name)
		}
		if in.kind >= seconds && in.from != fromDetailed && in.kind != amount {
			t.Errorf("%s is a histogram below level detailed", in.name)
		}
	}
}
