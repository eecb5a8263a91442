package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// plainProcessor works within the call and has nothing to start.
type plainProcessor struct {
	*fakes
	id  string
	cfg syncConfig
}

type syncConfig struct {
	Drop bool `yaml:"drop"`
}

func (p *plainProcessor) Process(_ context.Context, b *pipeline.Batch) (*pipeline.Batch, error) {
	p.note("process %s", p.id)
	if p.cfg.Drop {
		return nil, nil
	}
	return b, nil
}

// startedProcessor is one that is started and stopped, too.
type startedProcessor struct{ plainProcessor }

func (p *startedProcessor) Start(context.Context) error    { p.note("start %s", p.id); return nil }
func (p *startedProcessor) Shutdown(context.Context) error { p.note("stop %s", p.id); return nil }

// withProcessors are the fakes with the processor types plain and started.
func (f *fakes) withProcessors() Options {
	opts := f.options()
	defaults := func() syncConfig { return syncConfig{} }
	opts.Components = append(opts.Components,
		component.OfProcessor("plain", component.AllSignals("x"), defaults, func(c syncConfig, s component.Settings) (*plainProcessor, error) {
			return &plainProcessor{f, s.ID, c}, nil
		}),
		component.OfProcessor("started", component.AllSignals("x"), defaults, func(c syncConfig, s component.Settings) (*startedProcessor, error) {
			return &startedProcessor{plainProcessor{f, s.ID, c}}, nil
		}))
	return opts
}

const allKinds = `
receivers: {in: }
processors: {plain: , plain/2: , started: , step: , plain/drop: {drop: true}}
exporters: {out: }
service:
  telemetry: {metrics: {level: %s}}
  pipelines:
    traces: {receivers: [in], processors: [plain, started, step, plain/2], exporters: [out]}
    logs: {receivers: [in], processors: [plain, plain/drop, started], exporters: [out]}
`

// runAllKinds starts a service of allKinds, sends three items of traces and of logs,
// and returns what happened and what was measured.
func runAllKinds(t *testing.T, level string) (events string, counts map[string]int64) {
	t.Helper()
	f := newFakes()
	opts := f.withProcessors()
	reader := sdkmetric.NewManualReader()
	opts.Meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	cfg, err := Load(opts, "yaml:"+fmt.Sprintf(allKinds, level))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, signal := range []otlp.Signal{otlp.Traces, otlp.Logs} {
		b, err := pipeline.NewBatch(signal, []byte("\x0a\x08\x12\x06\x12\x00\x12\x00\x12\x00"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.made["in"][0].consumers[signal].Consume(t.Context(), b); err != nil {
			t.Error(err)
		}
		b.Release()
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.made["out"][0].batches; !slices.Equal(got, []string{"traces"}) {
		t.Errorf("the exporter has %v", got)
	}
	return f.take(), processorCounts(t, reader)
}

// processorCounts returns the metrics of processors, of histograms the counts.
func processorCounts(t *testing.T, reader sdkmetric.Reader) map[string]int64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			name, ok := strings.CutPrefix(m.Name, "otelcol_processor_")
			if !ok {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					id, _ := p.Attributes.Value("processor")
					signal, _ := p.Attributes.Value("otel.signal")
					counts[name+" "+id.AsString()+" "+signal.AsString()] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					id, _ := p.Attributes.Value("processor")
					signal, _ := p.Attributes.Value("otel.signal")
					counts[name+" "+id.AsString()+" "+signal.AsString()] = int64(p.Count)
				}
			}
		}
	}
	return counts
}

// Both kinds of processors stand in one pipeline, in the order of the
// configuration; those that can be started are, once for each pipeline.
func TestProcessorsOfBothKinds(t *testing.T) {
	t.Parallel()
	events, _ := runAllKinds(t, "normal")
	const want = "start out; start step; start started; start started; start in; " +
		"process plain; process started; process plain/2; process plain; process plain/drop; " +
		"stop in; stop started; stop started; stop step; stop out"
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Every processor's items are counted, and at level detailed the durations of
// those that work within the call. As in the Collector, basic counts too.
func TestProcessorsAreMeasuredByLevel(t *testing.T) {
	t.Parallel()
	counts := map[string]int64{
		"incoming_items plain traces": 3, "outgoing_items plain traces": 3,
		"incoming_items started traces": 3, "outgoing_items started traces": 3,
		"incoming_items step traces": 3, "outgoing_items step traces": 3,
		"incoming_items plain/2 traces": 3, "outgoing_items plain/2 traces": 3,
		"incoming_items plain logs": 3, "outgoing_items plain logs": 3,
		"incoming_items plain/drop logs": 3, "outgoing_items plain/drop logs": 0,
	}
	durations := maps.Clone(counts)
	for _, key := range []string{"plain traces", "started traces", "plain/2 traces", "plain logs", "plain/drop logs"} {
		durations["internal_duration "+key] = 1
	}
	for level, want := range map[string]map[string]int64{
		"basic": counts, "normal": counts, "detailed": durations,
		"none": counts, // has no effect on the meter of the embedding program
	} {
		if _, got := runAllKinds(t, level); !maps.Equal(got, want) {
			t.Errorf("level %s (-want +got):\n%s", level, cmp.Diff(want, got))
		}
	}
}
