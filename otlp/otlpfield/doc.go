// Package otlpfield has the number of every field of OTLP's messages, for code
// that reads or writes wire bytes itself. A constant is named after its message
// and its field: the field name of message Span is SpanName.
//
// The requests of the four signals have the same outer levels. The constants of
// this file number the fields of these levels for all of them:
//
//	ExportXServiceRequest
//	└─ ResourceX      RequestResources
//	   ├─ Resource    ResourceXResource
//	   └─ ScopeX      ResourceXScopes
//	      ├─ Scope    ScopeXScope
//	      └─ items    ScopeXItems: spans, metrics, log records, profiles
//
// The constants are untyped. They are generated from the descriptors of the
// official modules.
package otlpfield

// Fields that the requests of all signals have.
const (
	RequestResources = 1 // resource_spans, resource_metrics, …

	ResourceXResource  = 1 // resource
	ResourceXScopes    = 2 // scope_spans, scope_metrics, …
	ResourceXSchemaURL = 3 // schema_url

	ScopeXScope     = 1 // scope
	ScopeXItems     = 2 // spans, metrics, log_records, profiles
	ScopeXSchemaURL = 3 // schema_url
)

// Fields that the responses of all signals have.
const (
	ResponsePartialSuccess = 1 // partial_success

	PartialSuccessRejected     = 1 // rejected_spans, rejected_data_points, …
	PartialSuccessErrorMessage = 2 // error_message
)
