// Package otlp knows the four signals of the OpenTelemetry protocol as wire
// bytes: it checks them, looks into them, walks them and writes them, and never
// makes a tree of objects of them.
//
//	ExportXServiceRequest
//	├─ ResourceX          Groups walks these pairs,
//	│  ├─ Resource        for any signal
//	│  └─ ScopeX
//	│     ├─ Scope
//	│     └─ item*        spans, metrics, log records, profiles
//	└─ dictionary         profiles alone: tables that indices point into
//
// A view is a message's bytes under a type of its own: Span is a []byte with a
// method for each field. A getter scans for its field each time it is called;
// who needs many calls Decode once. A builder appends one message to an Encoder.
// Views, builders and the tables of Check are generated from the descriptors of
// the official modules.
//
// What differs from signal to signal is a column of the table behind
// Signal.Spec. No other package switches on a Signal.
//
// The one trap: views alias the request. They are as good as the batch that
// holds it, and what they say of bytes that Check refused is undefined (though
// it never panics).
package otlp

//go:generate go -C ../tools run ./otlpgen -dir ../otlp
