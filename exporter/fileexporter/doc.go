// Package fileexporter is the Collector's `file` exporter: it appends requests to
// a file, as lines of OTLP/JSON or, with `format: proto`, unchanged.
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
// A file always ends with a complete record: an incomplete record of a failed
// write is removed immediately, and that of a crash when the file is opened for
// appending. Rotation happens between records, never within one. A file that has
// anything but records of the configured format is renamed, and not changed.
//
//	traces.binpb                                 being written
//	traces-2026-01-02T15-04-05.000.binpb         full; the oldest are deleted first
//	traces-2026-01-02T15-04-05.000.binpb.other   of another format; never deleted
//
// Consume returns nil when the operating system has the record: it survives a
// crash of the process, but not of the machine. With acknowledge: synced the disk has
// it; with acknowledge: buffered the memory of this process, at most 1 MiB of them.
// Calls at the same time share writes and syncs; a call does not wait for others.
//
// The one trap: a record in protobuf does not contain its signal. To read the
// file again, use one exporter for each signal.
package fileexporter
