package component_test

import (
	"context"
	"fmt"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
	"github.com/penstock-telemetry/penstock/service"
)

// greeterConfig is the section of the exporter "greeter".
type greeterConfig struct {
	Greeting string `yaml:"greeting"`
}

func defaultGreeter() greeterConfig { return greeterConfig{Greeting: "hello"} }

// Validate is called when a configuration is loaded. The error is reported with its
// file, line and column.
func (c *greeterConfig) Validate() error {
	if c.Greeting == "" {
		return config.Atf("greeting", "must not be empty")
	}
	return nil
}

// greeter is an exporter that prints how many items each batch has.
type greeter struct {
	greeterConfig
	id string
}

func newGreeter(cfg greeterConfig, set component.Settings) (*greeter, error) {
	return &greeter{cfg, set.ID}, nil
}

func (*greeter) Start(context.Context) error         { return nil }
func (*greeter) Shutdown(context.Context) error      { return nil }
func (*greeter) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (g *greeter) Consume(_ context.Context, b *pipeline.Batch) error {
	fmt.Printf("%s says %s to %d %s\n", g.id, g.Greeting, b.Items(), b.Signal())
	return nil
}

// A Descriptor makes an exporter of one's own known to a service. Its settings are
// decoded and checked like those of penstock's own components.
func ExampleOfExporter() {
	descriptor := component.OfExporter("greeter",
		component.Stability{otlp.Traces: "Development", otlp.Logs: "Development"}, defaultGreeter, newGreeter)
	opts := service.Options{Components: []component.Descriptor{otlpreceiver.Component(), descriptor}}
	for _, try := range []struct{ settings, signal string }{
		{"{greeting: welcome}", "logs"},
		{"{greeting: ''}", "logs"},
		{"{gretting: welcome}", "logs"},
		{"{greeting: welcome}", "metrics"},
	} {
		_, err := service.Load(opts, fmt.Sprintf(`yaml:
receivers:
  otlp: {protocols: {grpc: }}
exporters:
  greeter/2: %s
service:
  pipelines:
    %s: {receivers: [otlp], exporters: [greeter/2]}
`, try.settings, try.signal))
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// yaml::5:25: exporters.greeter/2.greeting: must not be empty
	// yaml::5:15: exporters.greeter/2.gretting: unknown key, did you mean "greeting"? (known: greeting)
	// yaml::8:46: service.pipelines.metrics.exporters[0]: the exporter "greeter/2" does not support metrics; it supports traces, logs
}
