// Package record is how a batch and its client are written as one durable record.
//
//	record   = version (1 byte, 1), fields
//	fields   = a protobuf message:
//
//	message Record {
//	  uint32  signal   = 1;   // otlp.Signal: 1 traces, 2 metrics, 3 logs, 4 profiles
//	  uint32  codec    = 2;   // of body: a pipeline.Codec; 0 none
//	  uint64  items    = 3;   // spans, data points, log records, samples
//	  fixed64 received = 4;   // Unix nanoseconds; absent: unknown
//	  Client  client   = 5;   // absent: the batch was made inside
//	  uint64  plain    = 6;   // with a codec: the length of the request before compression
//	  uint32  several  = 7;   // with a codec: 1: body is not one member or frame alone
//	  bytes   body     = 15;  // the export request; always there, always last
//	}
//	message Client {
//	  string   addr      = 1;
//	  string   transport = 2;
//	  string   format    = 3;
//	  Identity identity  = 4;
//	  repeated Entry metadata = 5;   // only keys of Keep, sorted
//	}
//	message Identity {
//	  string subject = 1;
//	  repeated Entry attribute = 2;  // only keys of Keep, sorted; one value each
//	}
//	message Entry {
//	  string key = 1;
//	  repeated string value = 2;
//	}
//
// A field that a version adds is skipped by older ones. What older ones must not skip
// changes the version byte, and so does any other meaning of the fields above.
//
// The body is the request as it is sent, so that a journal can write the header and
// the body without joining them (AppendHeader), and an exporter can send what the
// journal holds. A request that came compressed may be stored as it came, and is sent in
// the same bytes then; all else needs it decompressed (Record.Decompress).
//
// Records carry no length and no checksum: both are the journal's.
//
// Of a client's metadata and identity only those keys are written that a Keep names.
// There is no way to name all of them: credentials, such as the key "authorization",
// are never written unless they are asked for by name.
package record
