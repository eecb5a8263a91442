// Package otlp reads, checks and writes the requests of the OpenTelemetry
// protocol as wire bytes, for all four signals, without decoding them into
// objects.
//
//	ExportXServiceRequest
//	├─ ResourceX          Groups iterates over the pairs of
//	│  ├─ Resource        resource and scope, for any signal
//	│  └─ ScopeX
//	│     ├─ Scope
//	│     └─ item*        spans, metrics, log records, profiles
//	└─ dictionary         profiles only: the tables that indices refer to
//
// A view is the bytes of a message under a type of its own: Span is a []byte with
// a getter for each field. A getter searches the bytes for its field at each
// call; to read several fields, call Decode once. The getter of a field that is
// absent returns nil, 0, false or an empty list.
//
// A builder appends a message to an Encoder. A method that begins a nested
// message returns the builder of that message; call its Close before the next
// method of the outer builder. A setter writes nothing if the value is the
// default, except where the protocol distinguishes the default from an absent
// field.
//
// Views, builders and the tables of Check are generated from the descriptors of
// the official modules. Package otlpfield has the field numbers.
//
// What differs between the signals is in the table behind Signal.Spec. No other
// package switches on a Signal.
//
// Views point into the request: they are valid as long as its bytes are, and
// must not be written to. Over bytes that Check rejects, their results are
// undefined, but they do not panic.
package otlp

//go:generate go -C ../tools run ./otlpgen -dir ../otlp
