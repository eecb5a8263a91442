package service

import (
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Whatever a component logs carries its kind and id, of a processor also the
// pipeline that it was made for.
func TestLinesNameTheirComponent(t *testing.T) {
	t.Parallel()
	var log testkit.Log
	f := newFakes()
	opts := f.options()
	opts.Logger = log.Logger()
	say := func(s component.Settings) { s.Logger.Info("made " + s.ID) }
	for i, d := range opts.Components {
		switch {
		case d.Receiver != nil:
			opts.Components[i].Receiver = func(config any, s component.Settings) (component.Receiver, error) {
				say(s)
				return d.Receiver(config, s)
			}
		case d.ConsumerProcessor != nil:
			opts.Components[i].ConsumerProcessor = func(config any, s component.Settings, next pipeline.Consumer) (component.Exporter, error) {
				say(s)
				return d.ConsumerProcessor(config, s, next)
			}
		case d.Exporter != nil:
			opts.Components[i].Exporter = func(config any, s component.Settings) (component.Exporter, error) {
				say(s)
				return d.Exporter(config, s)
			}
		case d.Extension != nil:
			opts.Components[i].Extension = func(config any, s component.Settings) (pipeline.Component, error) {
				say(s)
				return d.Extension(config, s)
			}
		}
	}
	cfg, err := LoadFrom(opts, Sources{URIs: []string{`yaml:
receivers: {in/1: }
processors: {step/2: }
exporters: {out/3: , out/4: }
extensions: {ext/5: }
service:
  extensions: [ext/5]
  pipelines: {traces/6: {receivers: [in/1], processors: [step/2], exporters: [out/3, out/4]}}
`}, Set: []string{"service.telemetry.metrics.level=none"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg, opts); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`msg="made in/1" receiver=in/1`, `msg="made step/2" processor=step/2 pipeline=traces/6`,
		`msg="made out/3" exporter=out/3`, `msg="made out/4" exporter=out/4`, `msg="made ext/5" extension=ext/5`,
	} {
		if !strings.Contains(log.String(), want+"\n") {
			t.Errorf("no line with %s in\n%s", want, log.String())
		}
	}
}
