// Package fileexporter is the Collector's `file` exporter: requests in a file, one
// after the other, as lines of OTLP/JSON or, with `format: proto`, as they came.
//
//	exporters:
//	  file:
//	    path: traces.binpb
//	    format: proto
//	    rotation: {max_megabytes: 100, max_backups: 10}
//
//	file   = record*
//	record = one line of JSON                        format: json, the default
//	       | length, 4 bytes, big endian, and the    format: proto, or
//	         bytes of an export request              compression: zstd, a frame for each
//
// A file ends with a whole record, whatever happens to a write: what remains of
// a failed one is cut off again, and what remains after a crash is cut off when
// the file is opened to be continued. Rotation happens between records, never in one.
//
//	traces.binpb                             being written
//	traces-2026-01-02T15-04-05.000.binpb     full, newest first to stay
//
// A record is kept when the operating system has it: it outlives the process, not
// the machine. With a flush_interval it is kept when it is in this process's
// memory, and nil means no more than that.
//
// The one trap: a record in protobuf does not say of which signal it is. Who
// wants to read the file again gives each signal an exporter of its own.
package fileexporter
