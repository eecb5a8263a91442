package badinput_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/badinput"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const limit = 1 << 20

// TestCorpus sends the whole corpus to the receiver. It shows the first failures;
// the command in this folder lists all.
func TestCorpus(t *testing.T) {
	cases, err := badinput.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	opts, sink := receiver(t)
	if testing.Short() { // the first and the last of the signal table
		opts.Signals = []otlp.Signal{otlp.Traces, otlp.Profiles}
	}
	began := time.Now()
	results, err := badinput.Run(t.Context(), cases, opts)
	if err != nil {
		t.Fatal(err)
	}
	var report strings.Builder
	badinput.Report(&report, results)
	t.Logf("%d cases in %v\n%s", len(results), time.Since(began).Round(time.Millisecond), report.String()[strings.LastIndex(report.String(), "\n\n")+1:])

	failed := 0
	for _, r := range results {
		for _, wrong := range r.Wrong {
			if failed++; failed <= 50 {
				t.Errorf("%s: %s", r.ID, wrong)
			}
		}
	}
	if failed > 50 {
		t.Errorf("and %d more", failed-50)
	}
	for _, s := range []otlp.Signal{otlp.Traces, otlp.Profiles} {
		if sink.Items(s) == 0 {
			t.Errorf("the pipeline saw no %s of the healthy clients", s)
		}
	}
}

// The corpus is large, and covers every signal and transport.
func TestCorpusIsLarge(t *testing.T) {
	cases, err := badinput.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	bad, by, ids := 0, map[string]int{}, map[string]bool{}
	for _, c := range cases {
		if ids[c.ID()] {
			t.Errorf("%s occurs twice", c.ID())
		}
		ids[c.ID()] = true
		if c.Source == "" {
			t.Errorf("%s does not say where its rule comes from", c.ID())
		}
		if c.Bad() {
			bad++
			by[c.Transport]++
			by[c.Signal.String()]++
		}
	}
	if bad < 500 {
		t.Errorf("the corpus has %d bad inputs, want at least 500", bad)
	}
	for _, of := range []string{"http", "h2c", "grpc", "rawhttp", "rawgrpc", "traces", "metrics", "logs", "profiles"} {
		if by[of] < 100 {
			t.Errorf("the corpus has %d bad inputs of %s, want at least 100", by[of], of)
		}
	}
}

// receiver starts the server under test, with the sink behind all signals.
func receiver(t *testing.T) (badinput.Options, *testkit.Sink) {
	t.Helper()
	g, h := otlpreceiver.DefaultGRPCConfig(), otlpreceiver.DefaultHTTPConfig()
	g.Endpoint, h.Endpoint = ownLoopback()+":0", ownLoopback()+":0"
	g.MaxRecvMsgSizeMiB, h.MaxRequestBodySize = limit>>20, limit
	meter := testkit.NewMeter()
	r, err := otlpreceiver.New(otlpreceiver.Config{Protocols: otlpreceiver.Protocols{GRPC: g, HTTP: h}}, component.Settings{
		ID: "otlp/bad", Logger: slog.New(slog.DiscardHandler), Meter: meter,
	})
	if err != nil {
		t.Fatal(err)
	}
	sink := &testkit.Sink{}
	for _, s := range otlp.Signals() {
		if err := r.Register(s, sink); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return badinput.Options{
		GRPC: r.GRPCAddr().String(), HTTP: r.HTTPAddr().String(), MaxBytes: limit,
		Counts: counts(t, meter), CountsWithin: 2 * time.Second,
	}, sink
}

// counts reads the receiver's metrics.
func counts(t *testing.T, meter *testkit.Meter) func(context.Context) (badinput.Counts, error) {
	return func(context.Context) (badinput.Counts, error) {
		c := badinput.NewCounts()
		for _, p := range meter.Points(t) {
			labels := map[string]string{}
			for _, a := range p.Attributes {
				key, value, _ := strings.Cut(a, "=")
				labels[key] = value
			}
			c.Add(p.Name, labels, p.Value)
		}
		return c, nil
	}
}

// ownLoopback returns a loopback address that other tests do not use, where there is one: a
// client of theirs, whose server has gone, does not come to a server here that has got its
// port, and is not counted.
func ownLoopback() string {
	if runtime.GOOS == "linux" {
		return "127.83.7.1"
	}
	return "127.0.0.1"
}
