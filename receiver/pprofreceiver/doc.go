// Package pprofreceiver fetches profiles in pprof's format and sends them on as
// OTLP: from Go processes that serve net/http/pprof, on an interval, and from
// files.
//
//	targets ─► Engine ─► fetch ─► unpack ─► parse ─► delta ─► Sink ─► OTLPReporter ─► Consumer
//	files   ─┘  rounds    HTTP     bounded            against the one before
//
// A target has up to two loops: one for its CPU profile, which takes as long as
// it measures, and one for the others, one after the other. So a slow target
// delays itself alone, and no profile of it is asked for twice at a time.
//
// What a profile says is about a window (cpu), a moment (inuse_space, goroutine)
// or all the time since the process began (alloc_space, contentions). The last
// kind is recognised by its sample type (accumulates), and reported as the
// difference to the previous fetch: the sum of the reported values is the
// difference between the last fetch and the first, whatever failed in between,
// including restarts of the process.
//
// The one trap: a profile is handed to the sink once. Its baseline is replaced unless
// the sink refused it whole: of what failed otherwise it may have taken a part.
//
// The package's files in order: config.go, kinds.go and sources.go say what to fetch;
// engine.go and round.go when; fetch.go and unpack.go how; delta.go, baseline.go and
// send.go what is reported of it; files.go reads files; failure.go and health.go
// report failures; receiver.go is the pipeline's component.
package pprofreceiver
