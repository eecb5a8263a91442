// Package attributesprocessor is the Collector's `attributes` processor: it inserts,
// updates, upserts, deletes, hashes, extracts and converts attributes of spans, data
// points and log records, and of samples and profiles.
//
//	processors:
//	  attributes:
//	    include: {match_type: strict, services: [cart]}
//	    actions:
//	    - {key: http.request.method, from_attribute: http.method, action: upsert}
//	    - {key: http.method, action: delete}
//	    - {key: user.email, action: hash}
//
// It works from wire to wire. Each item is read once; what is not touched is copied in
// as few pieces as there are changes:
//
//	LogRecord
//	├─ time, severity, body     copied
//	├─ KeyValue, KeyValue       copied
//	├─ KeyValue                 replaced, or cut out
//	├─ KeyValue                 copied
//	├─                          what is inserted
//	└─ trace_id, …              copied
//
// The actions are those of the processor resource (package attraction), what is included
// and excluded is tested by package match.
package attributesprocessor
