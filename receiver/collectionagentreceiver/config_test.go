package collectionagentreceiver

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/reporter"
)

func decode(t *testing.T, yaml string) (Config, error) {
	t.Helper()
	c := DefaultConfig()
	err := testkit.Decode(t, yaml, &c)
	return c, err
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if c, err := decode(t, "{}"); err != nil || c.Endpoint != "localhost:4319" || c.MaxReporters != 64 || c.Keepalive != nil {
		t.Errorf("%+v, %v", c, err)
	}
	c, err := decode(t, `
endpoint: /run/agent.sock
transport: unix
max_recv_msg_size_mib: 8
max_connections: 5
keepalive: {server_parameters: {max_connection_age: 1h}, enforcement_policy: {min_time: 10s}}
auth: {authenticator: basicauth}
report_interval: 1s
metrics_interval: 2s
samples_per_second: 97
max_reporters: 3
reporter_idle_timeout: 2h
max_cache_mib: 1
max_window_mib: 2
max_pending_mib: 4
metrics:
  7: {name: cpu, unit: s, description: seconds, kind: counter}
  8: {name: memory}
`)
	if err != nil {
		t.Fatal(err)
	}
	if k := c.Keepalive; k == nil || k.ServerParameters.MaxConnectionAge != time.Hour || k.EnforcementPolicy.MinTime != 10*time.Second {
		t.Errorf("%+v", k)
	}
	if c.Transport != "unix" || c.MaxRecvMsgSizeMiB != 8 || c.MaxConnections != 5 || c.MaxReporters != 3 || c.ReporterIdleTimeout != 2*time.Hour || len(c.Needs()) != 1 {
		t.Errorf("%+v", c)
	}
	want := reporter.OTLPConfig{
		ReportInterval: time.Second, ReportMetricsInterval: 2 * time.Second, SamplesPerSecond: 97,
		MaxCacheBytes: 1 << 20, MaxWindowBytes: 2 << 20, MaxPendingBytes: 4 << 20,
		MetricDefinitions: map[uint32]reporter.MetricDefinition{
			7: {Name: "cpu", Unit: "s", Description: "seconds", Kind: reporter.Counter}, 8: {Name: "memory", Kind: reporter.Gauge},
		},
	}
	got := c.reporterConfig()
	if !cmp.Equal(got.MetricDefinitions, want.MetricDefinitions) || got.ReportInterval != want.ReportInterval || got.ReportMetricsInterval != want.ReportMetricsInterval ||
		got.SamplesPerSecond != want.SamplesPerSecond || got.MaxCacheBytes != want.MaxCacheBytes || got.MaxWindowBytes != want.MaxWindowBytes || got.MaxPendingBytes != want.MaxPendingBytes {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"endpoint: nowhere":                           "the port is missing",
		"transport: udp":                              "transport",
		"max_recv_msg_size_mib: 0":                    "expected 1 to 2047, found 0",
		"max_connections: -1":                         "expected 1 to",
		"samples_per_second: -1":                      "expected 0 to",
		"max_reporters: 0":                            "expected 1 to",
		"max_cache_mib: 0":                            "expected 1 to",
		"max_window_mib: 0":                           "expected 1 to",
		"max_pending_mib: 3":                          "expected 4 to",
		"report_interval: 0s":                         "expected more than 0",
		"metrics_interval: -1s":                       "expected more than 0",
		"reporter_idle_timeout: 0s":                   "expected more than 0",
		"auth: {}":                                    "expected the id of an extension",
		"tls: {}":                                     "certificate and key",
		"metrics: {7: {unit: s}}":                     "expected the metric's name",
		"metrics: {7: {name: x, kind: conter}}":       `did you mean "counter"`,
		"metrics: {many: {name: x}}":                  "many",
		"reprot_interval: 1s":                         `did you mean "report_interval"`,
		"keepalive: {server_parameters: {timeot: 1}}": `did you mean "timeout"`,
	} {
		if _, err := decode(t, yaml); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", yaml, err, want)
		}
	}
	bad := DefaultConfig()
	bad.Auth = &AuthConfig{}
	bad.Metrics = map[uint32]MetricConfig{7: {}}
	if _, err := New(bad, component.Settings{ID: "collectionagent"}); err == nil || !strings.Contains(err.Error(), "metrics.7") || !strings.Contains(err.Error(), "auth") {
		t.Errorf("got %v", err)
	}
}

// A socket works as well.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Transport, c.Endpoint = "unix", t.TempDir()+"/agent.sock"
	r := newRig(t, c, component.Settings{})
	g := startReporter(t, "unix://"+c.Endpoint)
	makeScript(newRand(1), 2, 10).play(g)
	g.Stop()
	if s := g.Stats().CountsForTraces; s.Acknowledged != 10 {
		t.Errorf("%+v", s)
	}
	r.end()
}
