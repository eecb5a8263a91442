// Package service turns a configuration, the OpenTelemetry Collector's YAML,
// into running pipelines, and measures itself while they run.
//
//	 YAML ──Load──► Config ──New──► Service ──Start──► ...run... ──Shutdown──►
//	        conf    checked         built              receivers last   receivers first
//
//	                ┌► pipeline traces ───► processors ──┬──► exporter otlp
//	receiver otlp ──┤                                    └──► connector forward ─┐
//	                └► pipeline traces/front ──► exporter debug                  │
//	                                pipeline traces/back ◄───────────────────────┘
//
// An embedder needs four calls:
//
//	cfg, err := service.Load(opts, "penstock.yaml")
//	svc, err := service.New(cfg, opts) // service.Options{Components: components.Default()}
//	err = svc.Start(ctx)
//	err = svc.Shutdown(ctx) // or svc.Run(ctx), which starts and shuts down
//
// The parts, in reading order: internal/load reads and checks a configuration,
// internal/graph creates, starts and stops the components that it names,
// internal/selfobs has the logs, metrics and admin endpoint of the service itself.
// This package joins them: config.go (Load), service.go (New, Start, Shutdown),
// memory.go (limits) and status.go (what extensions and embedders can ask for).
//
// The one trap: a Config holds positions in its source files, so only Load can
// create one. The zero value of Config is not usable.
package service
