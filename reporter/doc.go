// Package reporter is what a profiler embeds: it takes stack traces, symbols,
// executables, host metadata and metrics, keeps each thing once, and sends them in
// bulk, on an interval.
//
//	ReportTraceEvent ──────────────────► samples ─┐
//	ReportCountForTrace ───────────────► counts ──┤ window   on the interval, or when
//	ReportFramesForTrace, FrameMetadata,          │          half full
//	ExecutableMetadata, ReportFallbackSymbol ─► caches ─► resolve ─► OTLP requests ─► pending ─► backend
//	ReportHostMetadata ─────────────────► resource ─┘                                 retry
//
// There are two reporters. OTLPReporter makes OTLP profiles and metrics and sends
// them by gRPC, HTTP, or to a pipeline.Consumer in this process. GRPCReporter sends
// the same events raw to a collection agent, which does the rest; the receiver
// collectionagent is one. Both take what was reported piece by piece (the documented
// API: frames, counts and symbols each in a call of their own, in any order).
// OTLPReporter also takes everything about a sample in one call, ReportTraceEvent, as
// profilers of today have it, and whole pprof profiles, ReportPprof.
//
// What is reported is acknowledged by the backend, or still held, or dropped and
// counted with its reason: at every moment Stats has all of it. Nothing waits for the
// backend: no Report method blocks, and each kind of memory has its bound in
// OTLPConfig.
//
// With OTLPConfig.SpoolDir requests are kept on disk until the backend has acknowledged
// them, also over the end of the process. No Report method waits for the disk.
//
// Without a Consumer, an OTLPReporter reads the OTEL_* environment variables for what its
// configuration does not have. ProfileSelf profiles the process that calls it.
//
// An Origin is read when the window is written, so it must not be changed after the
// call; see package samples.
package reporter
