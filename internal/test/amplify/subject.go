package amplify

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/exporter/debugexporter"
	"github.com/penstock-telemetry/penstock/exporter/fileexporter"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/attraction"
	"github.com/penstock-telemetry/penstock/processor/attributesprocessor"
	"github.com/penstock-telemetry/penstock/processor/match"
	"github.com/penstock-telemetry/penstock/processor/memorylimiterprocessor"
	"github.com/penstock-telemetry/penstock/processor/metricstransformprocessor"
	"github.com/penstock-telemetry/penstock/processor/probabilisticsamplerprocessor"
	"github.com/penstock-telemetry/penstock/processor/resourcedetectionprocessor"
	"github.com/penstock-telemetry/penstock/processor/resourceprocessor"
	"github.com/penstock-telemetry/penstock/processor/spanprocessor"
)

// A variant is a configuration of a component. The component's defaults are in
// config.
type variant struct {
	name string
	set  func(dir string, config any)
}

// elsewhere are components that send over a network: their peer would allocate in
// this process too. otlpclient's tests compare what a request takes with what is
// charged. The exporter logging is debug by its former name, which is measured.
var elsewhere = map[string]bool{"exporter otlp": true, "exporter otlphttp": true, "exporter logging": true}

// variants has the configurations of each processor and exporter that differ in what
// they allocate. A component without an entry fails the test.
var variants = map[string][]variant{
	"processor memory_limiter": {{"", func(_ string, config any) {
		c := config.(*memorylimiterprocessor.Config)
		c.CheckInterval, c.LimitMiB = time.Second, 256
	}}},
	"processor batch": {{"", func(string, any) {}}},
	"processor resource": {
		{"upserts", actions(
			resourceprocessor.Action{Key: "a", Action: "upsert", Value: "the value of a"},
			resourceprocessor.Action{Key: "b", Action: "upsert", Value: "the value of b"},
			resourceprocessor.Action{Key: "c", Action: "upsert", Value: 3})},
		{"large value", actions(resourceprocessor.Action{Key: "a", Action: "insert", Value: string(make([]byte, 4096))})},
		{"copy and delete", actions(
			resourceprocessor.Action{Key: "b", Action: "upsert", FromAttribute: "a"},
			resourceprocessor.Action{Key: "a", Action: "delete"})},
		{"transforms", actions(
			resourceprocessor.Action{Key: "a", Action: "extract", Pattern: "(?P<b>.*)(?P<c>.*)"},
			resourceprocessor.Action{Key: "a", Action: "convert", ConvertedType: "string"},
			resourceprocessor.Action{Action: "hash", Pattern: "b|c"})},
	},
	"processor filter":    {{"", func(string, any) {}}},
	"processor transform": {{"", func(string, any) {}}},
	"processor metrics_transform": {
		{"update", transforms(metricstransformprocessor.Transform{Action: "update", NewName: "n", Operations: []metricstransformprocessor.Operation{
			{Action: "add_label", NewLabel: "a", NewValue: "the value of a"},
			{Action: "update_label", Label: "a", NewLabel: "b"},
			{Action: "experimental_scale_value", Scale: 2},
			{Action: "toggle_scalar_data_type"}}})},
		{"insert and aggregate", transforms(metricstransformprocessor.Transform{Action: "insert", NewName: "$0.copy", Operations: []metricstransformprocessor.Operation{
			{Action: "aggregate_labels", AggregationType: "median"}}})},
		{"aggregate values", transforms(metricstransformprocessor.Transform{Action: "update", Operations: []metricstransformprocessor.Operation{
			{Action: "aggregate_label_values", Label: "a", AggregatedValues: []string{""}, NewValue: "b", AggregationType: "sum"}}})},
		{"combine", transforms(metricstransformprocessor.Transform{Action: "combine", NewName: "all", AggregationType: "max"})},
		{"group", transforms(metricstransformprocessor.Transform{Action: "group", GroupResourceLabels: map[string]string{"a": "the value of a"}})},
	},
	"processor resource_detection": {
		{"system", func(_ string, config any) {
			c := config.(*resourcedetectionprocessor.Config)
			c.Detectors, c.System.HostnameSources = []string{"system"}, []string{"os"}
			for _, a := range []string{"host.arch", "host.ip", "os.description"} {
				c.System.ResourceAttributes.Set(a, true)
			}
		}},
	},
	"processor attributes": {
		{"upserts", attributes(nil, nil,
			attraction.Action{Key: "a", Action: "upsert", Value: "the value of a"},
			attraction.Action{Key: "b", Action: "upsert", Value: "the value of b"},
			attraction.Action{Key: "c", Action: "upsert", Value: 3})},
		{"large value", attributes(nil, nil, attraction.Action{Key: "a", Action: "insert", Value: string(make([]byte, 4096))})},
		{"copy and delete", attributes(nil, nil,
			attraction.Action{Key: "b", Action: "upsert", FromAttribute: "a"},
			attraction.Action{Key: "a", Action: "delete"})},
		{"transforms", attributes(nil, nil,
			attraction.Action{Key: "a", Action: "extract", Pattern: "(?P<b>.*)(?P<c>.*)"},
			attraction.Action{Key: "a", Action: "convert", ConvertedType: "string"},
			attraction.Action{Action: "hash", Pattern: "b|c"})},
		{"included", attributes(&match.Properties{MatchType: "regexp", Resources: []match.Attribute{{Key: "a", Value: "x+"}}}, nil,
			attraction.Action{Key: "a", Action: "delete"})},
	},
	"processor probabilistic_sampler": {
		{"all", func(_ string, config any) {
			c := config.(*probabilisticsamplerprocessor.Config)
			c.SamplingPercentage, c.FailClosed, c.FromAttribute, c.AttributeSource = 100, false, "a", "record"
		}},
		{"half", func(_ string, config any) {
			c := config.(*probabilisticsamplerprocessor.Config)
			c.SamplingPercentage, c.FailClosed, c.Mode = 50, false, "proportional"
		}},
	},
	"processor span": {
		{"from attributes", span(func(c *spanprocessor.Config) { c.Name.FromAttributes = []string{"a", "a", "b"} })},
		{"to attributes", span(func(c *spanprocessor.Config) {
			c.Name.ToAttributes = &spanprocessor.ToAttributes{Rules: []string{"(?P<a>x+)", "(?P<b>.*)"}}
		})},
		{"status", span(func(c *spanprocessor.Config) {
			c.Status = &spanprocessor.Status{Code: "Error", Description: "an error"}
		})},
	},
	"exporter nop": {{"", func(string, any) {}}},
	"exporter debug": {
		{"basic", debugOf(func(c *debugexporter.Config) { c.Verbosity = debugexporter.Basic })},
		{"normal", debugOf(func(c *debugexporter.Config) { c.Verbosity = debugexporter.Normal })},
		{"detailed", debugOf(func(c *debugexporter.Config) { c.Verbosity = debugexporter.Detailed })},
		{"json", debugOf(func(c *debugexporter.Config) { c.Format = debugexporter.JSON })},
	},
	"exporter file": {
		{"json", fileOf("json", "")}, {"proto", fileOf("proto", "")},
		{"json zstd", fileOf("json", "zstd")}, {"proto zstd", fileOf("proto", "zstd")},
		{"group_by", func(dir string, config any) {
			fileOf("json", "")(dir, config)
			c := config.(*fileexporter.Config)
			c.Path = filepath.Join(dir, "out*")
			c.GroupBy = fileexporter.GroupBy{Enabled: true, ResourceAttribute: "a", MaxOpenFiles: 3}
		}},
	},
}

func actions(a ...resourceprocessor.Action) func(string, any) {
	return func(_ string, config any) { config.(*resourceprocessor.Config).Attributes = a }
}

func attributes(include, exclude *match.Properties, a ...attraction.Action) func(string, any) {
	return func(_ string, config any) {
		c := config.(*attributesprocessor.Config)
		c.Include, c.Exclude, c.Actions = include, exclude, a
	}
}

func span(set func(*spanprocessor.Config)) func(string, any) {
	return func(_ string, config any) { set(config.(*spanprocessor.Config)) }
}

// transforms returns one transform of all metrics.
func transforms(one metricstransformprocessor.Transform) func(string, any) {
	one.Include, one.MatchType = ".*", "regexp"
	return func(_ string, config any) {
		config.(*metricstransformprocessor.Config).Transforms = []metricstransformprocessor.Transform{one}
	}
}

func debugOf(set func(*debugexporter.Config)) func(string, any) {
	return func(dir string, config any) {
		c := config.(*debugexporter.Config)
		c.UseInternalLogger, c.OutputPaths = false, []string{filepath.Join(dir, "out")}
		set(c)
	}
}

func fileOf(format, compression string) func(string, any) {
	return func(dir string, config any) {
		c := config.(*fileexporter.Config)
		c.Path, c.Format, c.Compression = filepath.Join(dir, "out"), format, compression
	}
}

// A Subject is a component in one of the configurations that differ in what they do
// with a request.
type Subject struct {
	Name    string
	factory component.Descriptor
	variant variant
}

// Subjects returns the configurations of all processors and exporters. Those that send
// over a network are not among them.
func Subjects() (list []Subject, err error) {
	for _, d := range components.Default() {
		name := fmt.Sprint(d.Kind, " ", d.Type)
		if (d.Kind != component.KindProcessor && d.Kind != component.KindExporter) || elsewhere[name] {
			continue
		}
		if len(variants[name]) == 0 {
			return nil, fmt.Errorf("%s has no entry in variants: say how it is configured to do most", name)
		}
		for _, v := range variants[name] {
			list = append(list, Subject{Name: name + " " + v.name, factory: d, variant: v})
		}
	}
	return list, nil
}

// Takes reports whether the component takes a signal.
func (s *Subject) Takes(signal otlp.Signal) bool {
	_, ok := s.factory.Stability[signal]
	return ok
}

// Start creates the component, which writes its files in dir. A processor is in a
// chain, as in a service. The caller calls stop.
func (s *Subject) Start(ctx context.Context, dir string) (c pipeline.Consumer, stop func(), err error) {
	config := s.factory.DefaultConfig()
	s.variant.set(dir, config)
	set := component.Settings{ID: s.factory.Type}
	if s.factory.ConsumerProcessor != nil {
		p, err := s.factory.ConsumerProcessor(config, set, discard{})
		return p, func() { _ = p.Shutdown(context.Background()) }, err
	}
	if s.factory.Kind == component.KindProcessor {
		p, err := s.factory.Processor(config, set)
		if err != nil {
			return nil, nil, err
		}
		stop := func() {}
		if part, ok := p.(pipeline.Component); ok {
			if err := part.Start(ctx); err != nil {
				return nil, nil, err
			}
			stop = func() { _ = part.Shutdown(context.Background()) }
		}
		return pipeline.Chain(discard{}, pipeline.Step{Name: s.factory.Type, Processor: p}), stop, nil
	}
	e, err := s.factory.Exporter(config, set)
	if err != nil {
		return nil, nil, err
	}
	if err := e.Start(ctx); err != nil {
		return nil, nil, err
	}
	return e, func() { _ = e.Shutdown(context.Background()) }, nil
}

type discard struct{}

func (discard) Capabilities() pipeline.Capabilities            { return pipeline.Capabilities{} }
func (discard) Consume(context.Context, *pipeline.Batch) error { return nil }
