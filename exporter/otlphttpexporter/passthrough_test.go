package otlphttpexporter

import (
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// What the exporter can use is the same behind a queue.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	gzip, zlib := pipeline.CodecsOf(pipeline.CodecGzip), pipeline.CodecsOf(pipeline.CodecZlib)
	for name, c := range map[string]struct {
		set             func(*Config)
		codecs, members pipeline.CodecSet
	}{
		"default": {func(*Config) {}, gzip, 0},
		"merge":   {func(c *Config) { c.Passthrough.Merge = true }, gzip, gzip},
		"none":    {func(c *Config) { c.Compression = config.NoCompression }, 0, 0},
		"deflate": {func(c *Config) { c.Compression = config.Deflate }, zlib, 0},
		"any":     {func(c *Config) { c.Compression, c.Passthrough.Mode = config.NoCompression, config.PassAny }, pipeline.AllCodecs(), 0},
		"off":     {func(c *Config) { c.Passthrough = config.Passthrough{Mode: config.PassOff, Merge: true} }, 0, 0},
		"json":    {func(c *Config) { c.Encoding = "json" }, 0, 0},
	} {
		cfg := DefaultConfig()
		cfg.Endpoint = "http://localhost:4318"
		c.set(&cfg)
		e, err := New(cfg, component.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		for _, consumer := range []pipeline.Consumer{e, e.Queue().Sender} {
			if got := consumer.Capabilities(); got.Codecs != c.codecs || got.Members != c.members || got.MutatesData {
				t.Errorf("%s: %+v, want codecs %b, members %b", name, got, c.codecs, c.members)
			}
		}
	}
}
