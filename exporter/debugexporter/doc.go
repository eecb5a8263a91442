// Package debugexporter is the Collector's `debug` exporter: it prints batches
// as text.
//
//	exporters:
//	  debug:
//	    verbosity: detailed
//
//	basic     one line for each batch: signal, number of resources and items
//	normal    also about one line for each item, and the top frames of profiles
//	detailed  everything: attributes, events, buckets, stacks
//
// The text is that of the Collector, for all four signals, so that scripts for it
// continue to work. Four things differ. A line of normal has details in brackets after the
// Collector's text: times, duration, severity, status, parent. In profiles the
// dictionary is resolved: a sample shows its stack with functions, files and lines
// instead of indices. Bytes that could affect a terminal or forge a line (control
// characters, line ends, invisible characters, invalid UTF-8) are escaped. And the text
// of a batch is limited to 1 MiB; if it is longer, its last line tells what is missing.
//
//	Batch ──► row of the signal ──► printer ──► output
//	          nouns, item printers  bounded,    log record, or
//	                                escaped     stdout and files
//
// With format: json each batch is a line of OTLP/JSON instead, for tools such
// as jq.
//
// The one trap: nil means that the batch was shown, not that it is stored. An
// output that fails is reported in the log, and does not stop the pipeline.
package debugexporter
