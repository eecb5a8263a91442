// Package debugexporter is the Collector's `debug` exporter: it shows people
// what passes.
//
//	exporters:
//	  debug:
//	    verbosity: detailed
//
//	basic     one line a batch: Traces, how many resources and spans
//	normal    besides, about one line an item
//	detailed  besides, everything: attributes, events, buckets, stacks
//
// The text is the Collector's, for all four signals, so that eyes and scripts
// that know it keep working. Three things differ. In profiles the dictionary is
// resolved: a sample shows its stack with functions, files and lines instead of
// numbers. Bytes that could harm a terminal or forge a line (control characters,
// line ends, invisible letters, what is not UTF-8) are escaped. And a batch prints at
// most 1 MiB, and says what it left out.
//
//	Batch ──► row of the signal ──► printer ──► output
//	          nouns, item printers  bounded,    log record, or
//	                                escaped     stdout and files
//
// With format: json each batch is a line of OTLP/JSON instead, for jq and its like.
//
// The one trap: its nil means seen, not kept. An output that fails is reported
// in the log, and does not hold up the pipeline.
package debugexporter
