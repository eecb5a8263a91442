package reporter

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// A configuration that cannot work is refused with what is wrong, all of it, in the
// caller's own terms.
func TestOTLPConfigErrors(t *testing.T) {
	sink := &testkit.Sink{}
	for _, c := range []struct {
		config OTLPConfig
		want   []string
	}{
		{OTLPConfig{}, []string{"expected one of Endpoint and Consumer, found neither"}},
		{OTLPConfig{Endpoint: "h:1", Consumer: sink}, []string{"found both"}},
		{OTLPConfig{Consumer: sink, SpoolBytes: 1 << 30}, []string{"SpoolBytes is 1073741824 without a SpoolDir"}},
		{OTLPConfig{Consumer: sink, SpoolDir: "spool", SpoolBytes: 1 << 20}, []string{"SpoolBytes is 1048576: expected at least 134217728 bytes, 32 times MaxRequestBytes"}},
		{OTLPConfig{Consumer: sink, ReportInterval: -1, Timeout: -2}, []string{"ReportInterval is negative: -1ns", "Timeout is negative: -2ns"}},
		{OTLPConfig{Consumer: sink, ReportMetricsInterval: -1, StopTimeout: -2}, []string{"ReportMetricsInterval is negative", "StopTimeout is negative"}},
		{OTLPConfig{Consumer: sink, MaxRequestBytes: 1}, []string{"MaxRequestBytes is 1: expected at least 16384 bytes"}},
		{OTLPConfig{Consumer: sink, MaxRequestBytes: 2 << 30}, []string{"MaxRequestBytes is 2147483648: expected at most"}},
		{OTLPConfig{Consumer: sink, MaxWindowBytes: 1 << 10, MaxCacheBytes: 1}, []string{"MaxCacheBytes is 1: expected", "MaxWindowBytes is 1024: expected 524288"}},
		{OTLPConfig{Consumer: sink, MaxRequestBytes: 1 << 20, MaxPendingBytes: 1 << 19}, []string{"MaxPendingBytes (524288) is less than MaxRequestBytes (1048576)"}},
		{OTLPConfig{Consumer: sink, SamplesPerSecond: -1}, []string{"SamplesPerSecond is negative: -1"}},
		{OTLPConfig{Consumer: sink, MetricDefinitions: map[uint32]MetricDefinition{3: {}, 2: {}}}, []string{"MetricDefinitions[2] has no Name\nMetricDefinitions[3] has no Name"}},
		{OTLPConfig{Endpoint: "h:1", Compression: "best"}, []string{"best"}},
		{OTLPConfig{Endpoint: "http://h:1", Compression: "lz4"}, []string{"Compression lz4 is not included"}},
		{OTLPConfig{Endpoint: "https://h:x"}, []string{"endpoint: the endpoint is not a URL"}},
	} {
		r, err := NewOTLP(c.config)
		if err == nil {
			t.Errorf("%+v was taken", c.config)
			_ = r.Shutdown(t.Context())
			continue
		}
		at := 0
		for _, want := range c.want {
			i := strings.Index(err.Error()[at:], want)
			if i < 0 {
				t.Errorf("%q does not say %q, or not in this place", err, want)
				break
			}
			at += i
		}
	}
	for _, c := range []struct {
		config *Config
		want   string
	}{
		{nil, "the configuration or its Times is nil"},
		{&Config{CollAgentAddr: "h:1"}, "the configuration or its Times is nil"},
		{&Config{Times: quickTimes()}, "CollAgentAddr is empty"},
		{&Config{Times: quickTimes(), CollAgentAddr: "h:1", MaxRPCMsgSize: 1000}, "MaxRPCMsgSize is 1000: expected 16384"},
		{&Config{Times: quickTimes(), CollAgentAddr: "h:1", MaxRPCMsgSize: -1}, "MaxRPCMsgSize is -1"},
	} {
		if _, err := StartOTLP(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
	}
}

// Reports go out on the interval, give or take a fifth, and never in step.
func TestOTLPIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &testkit.Sink{}
		r, err := NewOTLP(OTLPConfig{Consumer: sink, MetricDefinitions: map[uint32]MetricDefinition{1: {Name: "m"}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer r.Stop()
		for signal, every := range map[otlp.Signal]time.Duration{otlp.Profiles: 5 * time.Second, otlp.Metrics: time.Minute} {
			gaps := map[time.Duration]bool{}
			last := time.Time{}
			for i := range 50 {
				meta := samples.TraceEventMeta{Timestamp: 1, Origin: samples.CPU(20)}
				if err := r.ReportTraceEvent(&samples.Trace{}, &meta); err != nil {
					t.Fatal(err)
				}
				r.ReportMetrics(uint32(i+1), []uint32{1}, []int64{1})
				before := len(sink.Requests(signal))
				for len(sink.Requests(signal)) == before {
					time.Sleep(10 * time.Millisecond)
					synctest.Wait()
				}
				if now := time.Now(); i > 0 {
					gap := now.Sub(last)
					if gap < every*8/10-20*time.Millisecond || gap > every*12/10+20*time.Millisecond {
						t.Errorf("%s: a gap of %s", signal, gap)
					}
					gaps[gap], last = true, now
				} else {
					last = now
				}
			}
			if len(gaps) < 30 {
				t.Errorf("%s: only %d of 49 gaps differ", signal, len(gaps))
			}
		}
	})
}

// Requests are compressed as asked, by both transports.
func TestOTLPCompression(t *testing.T) {
	t.Parallel()
	for _, compression := range []string{"", "gzip", "zstd", "none"} {
		b := testkit.NewBackend(t, testkit.BackendConfig{})
		for _, endpoint := range []string{b.GRPCEndpoint(), b.HTTPEndpoint()} {
			r, err := NewOTLP(OTLPConfig{Endpoint: endpoint, Insecure: true, Compression: compression})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			meta := samples.TraceEventMeta{Timestamp: 1, Origin: samples.CPU(20), ExecutablePath: strings.Repeat("long ", 1000)}
			if err := r.ReportTraceEvent(&samples.Trace{}, &meta); err != nil {
				t.Fatal(err)
			}
			if err := r.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
		want := map[string]string{"": "gzip", "none": ""}
		for _, call := range b.Calls() {
			w, other := want[compression]
			if !other {
				w = compression
			}
			if call.Encoding != w && !(w == "" && call.Encoding == "identity") {
				t.Errorf("%q over %s: the request came as %q", compression, call.Transport, call.Encoding)
			}
		}
		if len(b.Calls()) != 2 {
			t.Errorf("%q: %d requests", compression, len(b.Calls()))
		}
	}
}

// Invalid reports are counted as such, and the stats balance.
func TestOTLPInvalid(t *testing.T) {
	t.Parallel()
	r, err := NewOTLP(OTLPConfig{Consumer: &testkit.Sink{}, MetricDefinitions: map[uint32]MetricDefinition{1: {Name: "m"}}})
	if err != nil {
		t.Fatal(err)
	}
	r.ReportCountForTrace(libpf.NewTraceHash(1, 2), 0, 1, "", "", "")
	r.ReportCountForTrace(libpf.NewTraceHash(1, 2), 0, 9, "comm", "", "")
	r.ReportMetrics(1, []uint32{1, 1, 1}, []int64{5})
	r.ReportMetrics(1, nil, []int64{5, 6})
	s := r.Stats()
	if s.Samples.Reported != 2 || s.Samples.Dropped[DropInvalid] != 2 || s.Points.Reported != 5 || s.Points.Dropped[DropInvalid] != 4 || s.Points.Held != 1 {
		t.Errorf("%+v", s)
	}
	if err := r.Shutdown(t.Context()); err == nil {
		t.Error("a point was lost, and Shutdown returns no error")
	}
}
