package amplify

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/exporter/debugexporter"
	"github.com/penstock-telemetry/penstock/exporter/fileexporter"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/memorylimiterprocessor"
	"github.com/penstock-telemetry/penstock/processor/resourceprocessor"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A variant is a configuration of a component. The component's defaults are in
// config.
type variant struct {
	name string
	set  func(t *testing.T, config any)
}

// elsewhere are components that send over a network: their peer would allocate in
// this process too. otlpclient's tests compare what a request takes with what is
// charged.
var elsewhere = map[string]bool{"exporter otlp": true, "exporter otlphttp": true}

// variants has the configurations of each processor and exporter that differ in what
// they allocate. A component without an entry fails the test.
var variants = map[string][]variant{
	"processor memory_limiter": {{"", func(_ *testing.T, config any) {
		c := config.(*memorylimiterprocessor.Config)
		c.CheckInterval, c.LimitMiB = time.Second, 256
	}}},
	"processor resource": {
		{"upserts", actions(
			resourceprocessor.Action{Key: "a", Action: "upsert", Value: "the value of a"},
			resourceprocessor.Action{Key: "b", Action: "upsert", Value: "the value of b"},
			resourceprocessor.Action{Key: "c", Action: "upsert", Value: 3})},
		{"large value", actions(resourceprocessor.Action{Key: "a", Action: "insert", Value: string(make([]byte, 4096))})},
		{"copy and delete", actions(
			resourceprocessor.Action{Key: "b", Action: "upsert", FromAttribute: "a"},
			resourceprocessor.Action{Key: "a", Action: "delete"})},
	},
	"exporter nop": {{"", func(*testing.T, any) {}}},
	"exporter debug": {
		{"basic", debugOf(func(c *debugexporter.Config) { c.Verbosity = debugexporter.Basic })},
		{"normal", debugOf(func(c *debugexporter.Config) { c.Verbosity = debugexporter.Normal })},
		{"detailed", debugOf(func(c *debugexporter.Config) { c.Verbosity = debugexporter.Detailed })},
		{"json", debugOf(func(c *debugexporter.Config) { c.Format = debugexporter.JSON })},
	},
	"exporter file": {
		{"json", fileOf("json", "")}, {"proto", fileOf("proto", "")},
		{"json zstd", fileOf("json", "zstd")}, {"proto zstd", fileOf("proto", "zstd")},
	},
}

func actions(a ...resourceprocessor.Action) func(*testing.T, any) {
	return func(_ *testing.T, config any) { config.(*resourceprocessor.Config).Attributes = a }
}

func debugOf(set func(*debugexporter.Config)) func(*testing.T, any) {
	return func(t *testing.T, config any) {
		c := config.(*debugexporter.Config)
		c.UseInternalLogger, c.OutputPaths = false, []string{filepath.Join(t.TempDir(), "out")}
		set(c)
	}
}

func fileOf(format, compression string) func(*testing.T, any) {
	return func(t *testing.T, config any) {
		c := config.(*fileexporter.Config)
		c.Path, c.Format, c.Compression = filepath.Join(t.TempDir(), "out"), format, compression
	}
}

const (
	bodyBytes = 2 << 20
	// slackBytes is what a component may allocate for any request without charging it.
	slackBytes = 512 << 10
	// ratio allows for garbage: memory that moved is allocated twice, and charged
	// twice only while it moves.
	ratio = 2
)

// The heap of every component grows by no more than what it charges to the ticket of
// the request, whatever the request is.
func TestComponentsChargeWhatTheyAllocate(t *testing.T) {
	requests := Requests(bodyBytes)
	for _, d := range components.Default() {
		name := fmt.Sprint(d.Kind, " ", d.Type)
		if (d.Kind != component.KindProcessor && d.Kind != component.KindExporter) || elsewhere[name] {
			continue
		}
		if len(variants[name]) == 0 {
			t.Errorf("%s has no entry in variants: say how it is configured to allocate most", name)
		}
		for _, v := range variants[name] {
			t.Run(name+" "+v.name, func(t *testing.T) {
				consumer := start(t, d, v)
				for _, r := range requests { // what is allocated once is not measured
					consume(t, consumer, r)
				}
				for _, r := range requests {
					if _, ok := d.Stability[r.Signal]; ok {
						measure(t, consumer, r)
					}
				}
			})
		}
	}
}

// start creates the component, and puts a processor in a chain, as a service does.
func start(t *testing.T, d component.Descriptor, v variant) pipeline.Consumer {
	t.Helper()
	config := d.DefaultConfig()
	v.set(t, config)
	set := component.Settings{ID: d.Type}
	if d.Kind == component.KindProcessor {
		p, err := d.Processor(config, set)
		if err != nil {
			t.Fatal(err)
		}
		return pipeline.Chain(discard{}, pipeline.Step{Name: d.Type, Processor: p})
	}
	e, err := d.Exporter(config, set)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Shutdown(context.Background()) })
	return e
}

type discard struct{}

func (discard) Capabilities() pipeline.Capabilities            { return pipeline.Capabilities{} }
func (discard) Consume(context.Context, *pipeline.Batch) error { return nil }

func consume(t *testing.T, c pipeline.Consumer, r Request) {
	b := testkit.PooledBatch(t, r.Signal, r.Body, nil)
	defer b.Release()
	if err := c.Consume(t.Context(), b); err != nil && pipeline.Classify(err).Kind != pipeline.Permanent {
		t.Errorf("%s of %s: %v", r.Name, r.Signal, err)
	}
}

// measure compares what a request made the heap grow by with the most that was
// charged. Nothing is collected in between.
func measure(t *testing.T, c pipeline.Consumer, r Request) {
	t.Helper()
	budget := admission.New(admission.Config{Bytes: 1 << 32})
	ticket, err := budget.Acquire(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := testkit.PooledBatch(t, r.Signal, r.Body, nil)
	held := cap(b.Bytes()) + b.MergeBytes()
	if err := ticket.Reserve(held); err != nil {
		t.Fatal(err)
	}
	b.Hold(ticket)
	grown := heapGrowth(func() { err = c.Consume(t.Context(), b) })
	b.Release()
	s := budget.Stats()
	if s.Used != 0 {
		t.Errorf("%s of %s: %d bytes are still charged", r.Name, r.Signal, s.Used)
	}
	charged := s.Peak - int64(held) + int64(b.MergeBytes())
	if grown > ratio*charged+slackBytes {
		t.Errorf("%s of %s (%d bytes): the heap grew by %d bytes, %d were charged (%v)", r.Name, r.Signal, len(r.Body), grown, charged, err)
	}
}

func heapGrowth(do func()) int64 {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// Every amplifier is a request that a receiver accepts, of the size that was asked
// for, and compresses well.
func TestRequestsAreValid(t *testing.T) {
	for _, r := range Requests(64 << 10) {
		if _, err := otlp.Check(r.Signal, r.Body); err != nil {
			t.Errorf("%s of %s: %v", r.Name, r.Signal, err)
		}
		if n := len(r.Body); n < 32<<10 || n > 65<<10 {
			t.Errorf("%s of %s has %d bytes", r.Name, r.Signal, n)
		}
	}
}
