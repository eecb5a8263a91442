package otlpfield_test

import (
	"testing"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// expectField fails unless m has a field of this number and one of these names.
func expectField(t *testing.T, m protoreflect.MessageDescriptor, number protoreflect.FieldNumber, names ...protoreflect.Name) protoreflect.FieldDescriptor {
	t.Helper()
	f := m.Fields().ByNumber(number)
	if f == nil {
		t.Fatalf("%s has no field %d", m.FullName(), number)
	}
	for _, n := range names {
		if f.Name() == n {
			return f
		}
	}
	t.Errorf("field %d of %s is %s, expected one of %v", number, m.FullName(), f.Name(), names)
	return f
}

// The constants of doc.go are true of all four signals.
func TestSharedLevels(t *testing.T) {
	for _, request := range []proto.Message{
		&coltraces.ExportTraceServiceRequest{}, &colmetrics.ExportMetricsServiceRequest{},
		&collogs.ExportLogsServiceRequest{}, &colprofiles.ExportProfilesServiceRequest{},
	} {
		m := request.ProtoReflect().Descriptor()
		rx := expectField(t, m, otlpfield.RequestResources, "resource_spans", "resource_metrics", "resource_logs", "resource_profiles").Message()
		expectField(t, rx, otlpfield.ResourceXResource, "resource")
		expectField(t, rx, otlpfield.ResourceXSchemaURL, "schema_url")
		sx := expectField(t, rx, otlpfield.ResourceXScopes, "scope_spans", "scope_metrics", "scope_logs", "scope_profiles").Message()
		expectField(t, sx, otlpfield.ScopeXScope, "scope")
		expectField(t, sx, otlpfield.ScopeXSchemaURL, "schema_url")
		expectField(t, sx, otlpfield.ScopeXItems, "spans", "metrics", "log_records", "profiles")
	}
	for _, response := range []proto.Message{
		&coltraces.ExportTraceServiceResponse{}, &colmetrics.ExportMetricsServiceResponse{},
		&collogs.ExportLogsServiceResponse{}, &colprofiles.ExportProfilesServiceResponse{},
	} {
		m := response.ProtoReflect().Descriptor()
		part := expectField(t, m, otlpfield.ResponsePartialSuccess, "partial_success").Message()
		expectField(t, part, otlpfield.PartialSuccessRejected, "rejected_spans", "rejected_data_points", "rejected_log_records", "rejected_profiles")
		expectField(t, part, otlpfield.PartialSuccessErrorMessage, "error_message")
	}
}

// A constant is the number of the field that its name says.
func TestGenerated(t *testing.T) {
	request := (&coltraces.ExportTraceServiceRequest{}).ProtoReflect().Descriptor()
	rs := expectField(t, request, otlpfield.ExportTraceServiceRequestResourceSpans, "resource_spans").Message()
	resource := expectField(t, rs, otlpfield.ResourceSpansResource, "resource").Message()
	kv := expectField(t, resource, otlpfield.ResourceAttributes, "attributes").Message()
	expectField(t, kv, otlpfield.KeyValueKey, "key")
	expectField(t, kv, otlpfield.KeyValueKeyStrindex, "key_strindex")
	span := expectField(t, expectField(t, rs, otlpfield.ResourceSpansScopeSpans, "scope_spans").Message(), otlpfield.ScopeSpansSpans, "spans").Message()
	expectField(t, span, otlpfield.SpanName, "name")
	expectField(t, span, otlpfield.SpanFlags, "flags")
}
