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
//	cfg, err := service.Load("penstock.yaml")
//	svc, err := service.New(cfg, service.Options{})
//	err = svc.Start(ctx)
//	err = svc.Shutdown(ctx) // or svc.Run(ctx), which is both
//
// The files read in this order: config.go (Load), catalog.go (the component
// types), id.go, pipelines.go, check.go, cycles.go and listeners.go (what can be
// wrong), telemetry*.go and resource.go (the section service.telemetry), print.go;
// then graph.go and extensions.go (what a Config asks for, made) and service.go
// (its life); then metrics.go, process.go, admin.go, pages.go, log.go, console.go
// and summary.go (what the service tells about itself).
//
// The one trap: a Config holds places in the files that it came from, so it is
// only made by Load; its zero value is no configuration.
package service
