package amplify

import (
	"context"
	"fmt"
	"github.com/penstock-telemetry/penstock/connector/countconnector"
	"github.com/penstock-telemetry/penstock/connector/routingconnector"
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
	"github.com/penstock-telemetry/penstock/processor/filterprocessor"
	"github.com/penstock-telemetry/penstock/processor/match"
	"github.com/penstock-telemetry/penstock/processor/memorylimiterprocessor"
	"github.com/penstock-telemetry/penstock/processor/metricstransformprocessor"
	"github.com/penstock-telemetry/penstock/processor/probabilisticsamplerprocessor"
	"github.com/penstock-telemetry/penstock/processor/redactionprocessor"
	"github.com/penstock-telemetry/penstock/processor/resourcedetectionprocessor"
	"github.com/penstock-telemetry/penstock/processor/resourceprocessor"
	"github.com/penstock-telemetry/penstock/processor/spanprocessor"
	"github.com/penstock-telemetry/penstock/processor/transformprocessor"
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
	"processor redaction": {
		{"nothing allowed", func(_ string, config any) { config.(*redactionprocessor.Config).Summary = "debug" }},
		{"masked", func(_ string, config any) {
			c := config.(*redactionprocessor.Config)
			c.AllowAllKeys, c.RedactAllTypes, c.BlockedValues, c.HashFunction, c.Summary = true, true, []string{"x+"}, "sha1", "debug"
		}},
		{"keys masked", func(_ string, config any) {
			c := config.(*redactionprocessor.Config)
			c.AllowAllKeys, c.BlockedKeyPatterns, c.IgnoredKeyPatterns = true, []string{"."}, []string{"never"}
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
	"processor filter": {
		{"conditions", func(_ string, config any) {
			c := config.(*filterprocessor.Config)
			c.Traces.Span = []string{`IsMatch(attributes["a"], "x+") and name == "b"`}
			c.Traces.SpanEvent = []string{`name == "b"`}
			c.Metrics.DataPoint = []string{`attributes["a"] == "b"`}
			c.Logs.LogRecord = []string{`body.string == "b"`}
			c.Profiles.Profile = []string{`attributes["a"] == "b"`}
		}},
		{"include", func(_ string, config any) {
			c := config.(*filterprocessor.Config)
			c.Spans.Include = &match.Properties{MatchType: "regexp", SpanNames: []string{".*"}, Resources: []match.Attribute{{Key: "a", Value: ".*"}}}
			c.Metrics.Include = &filterprocessor.MetricProperties{MatchType: "regexp", MetricNames: []string{".*"}}
			c.Logs.Include = &filterprocessor.LogProperties{MatchType: "regexp", SeverityTexts: []string{".*"}}
		}},
	},
	"processor transform": {
		{"sets", transform("",
			`set(resource.attributes["a"], "the value of a")`, `set(scope.attributes["b"], resource.attributes["a"])`)},
		{"items", func(_ string, config any) {
			c := config.(*transformprocessor.Config)
			c.TraceStatements = group("span", `set(attributes["a"], name)`, `set(attributes["m"], attributes)`, `set_semconv_span_name("1.37.0", "b")`)
			c.LogStatements = group("log", `set(attributes["a"], body)`, `set(attributes["c"], ParseCEF(body)) where IsString(body)`)
			c.ProfileStatements = group("profile", `set(attributes["a"], "b")`)
			c.MetricStatements = group("metric", `copy_metric(name="copy") where name != "copy"`, `scale_metric(2.0, "unit") where type == METRIC_DATA_TYPE_GAUGE`)
		}},
		{"aggregations", func(_ string, config any) {
			c := config.(*transformprocessor.Config)
			c.MetricStatements = group("metric", `aggregate_on_attributes("median", ["a"])`, `aggregate_on_attribute_value("sum", "a", ["x"], "y")`)
		}},
		{"new metrics", func(_ string, config any) {
			c := config.(*transformprocessor.Config)
			c.MetricStatements = group("metric", `extract_count_metric(true) where type == METRIC_DATA_TYPE_HISTOGRAM`, `extract_percentile_metric(50.0)`,
				`convert_summary_quantile_val_to_gauge()`, `convert_exponential_histogram_to_histogram("uniform", [0.0, 1.0])`)
		}},
		{"data points", func(_ string, config any) {
			c := config.(*transformprocessor.Config)
			c.MetricStatements = group("datapoint", `set(attributes["a"], "b")`, `merge_histogram_buckets(3, "limit_buckets")`)
		}},
	},
	"connector routing": {
		{"items", routes("log", "severity_number > 8", "span", "kind > 2", "datapoint", "flags > 100", "profile", "period > 10")},
		{"resources", routes("resource", "dropped_attributes_count > 1000")},
	},
	"connector count": {
		{"all", func(string, any) {}},
		{"by attributes", func(_ string, config any) {
			c := config.(*countconnector.Config)
			by := map[string]countconnector.Metric{"m": {Attributes: []countconnector.Attribute{{Key: "a", DefaultValue: "x"}, {Key: "b", DefaultValue: "y"}}}}
			c.Spans, c.SpanEvents, c.DataPoints, c.Logs, c.Profiles = by, by, by, by, by
		}},
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

// transform has the same statements for all signals.
func transform(context string, statements ...string) func(string, any) {
	return func(_ string, config any) {
		c := config.(*transformprocessor.Config)
		g := group(context, statements...)
		c.TraceStatements, c.MetricStatements, c.LogStatements, c.ProfileStatements = g, g, g, g
	}
}

func group(context string, statements ...string) []transformprocessor.Group {
	return []transformprocessor.Group{{Context: context, Statements: statements}}
}

// routes makes a table of pairs of a context and a condition, for all signals.
func routes(pairs ...string) func(string, any) {
	return func(_ string, config any) {
		c := config.(*routingconnector.Config)
		for i := 0; i < len(pairs); i += 2 {
			c.Table = append(c.Table, routingconnector.Route{Context: pairs[i], Condition: pairs[i+1], Pipelines: pipelineIDs("a")})
		}
		c.DefaultPipelines = pipelineIDs("b")
	}
}

// pipelineIDs are the ids of pipelines of all signals.
func pipelineIDs(name string) (ids []string) {
	for _, s := range otlp.Signals() {
		ids = append(ids, s.String()+"/"+name)
	}
	return ids
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

// Subjects returns the configurations of all processors, exporters and connectors. Those that send
// over a network are not among them.
func Subjects() (list []Subject, err error) {
	for _, d := range components.Default() {
		name := fmt.Sprint(d.Kind, " ", d.Type)
		if (d.Kind != component.KindProcessor && d.Kind != component.KindExporter && d.Connector == nil) || elsewhere[name] {
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
	if s.factory.Connector != nil {
		c, err := s.connector(config, set)
		return c, func() {}, err
	}
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

// connector creates a connector for each signal, in front of two pipelines.
func (s *Subject) connector(config any, set component.Settings) (pipeline.Consumer, error) {
	all := bySignal{}
	for signal := range s.factory.Stability {
		var out component.Outputs
		for _, made := range s.factory.Makes(signal) {
			for _, name := range []string{"a", "b"} {
				out = append(out, component.Output{ID: made.String() + "/" + name, Signal: made, Consumer: discard{}})
			}
		}
		set.Signal = signal
		c, err := s.factory.Connector(config, set, out)
		if err != nil {
			return nil, err
		}
		all[signal] = c
	}
	return all, nil
}

// bySignal is a consumer for each signal.
type bySignal map[otlp.Signal]pipeline.Consumer

func (bySignal) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }
func (c bySignal) Consume(ctx context.Context, b *pipeline.Batch) error {
	return c[b.Signal()].Consume(ctx, b)
}

type discard struct{}

func (discard) Capabilities() pipeline.Capabilities            { return pipeline.Capabilities{} }
func (discard) Consume(context.Context, *pipeline.Batch) error { return nil }
