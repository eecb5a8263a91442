package main

import (
	"fmt"
	"strings"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// jsonModel is what json.tmpl and otlpfield.tmpl print: the messages of the
// requests, which have their constants in package otlp already, and those of the
// responses, which need some.
type jsonModel struct {
	All, Responses []*message
	Enums          []*enum
}

func newJSONModel(requests *model) (*jsonModel, error) {
	responses := model{seen: requests.seen}
	for _, r := range []proto.Message{
		&coltraces.ExportTraceServiceResponse{}, &colmetrics.ExportMetricsServiceResponse{},
		&collogs.ExportLogsServiceResponse{}, &colprofiles.ExportProfilesServiceResponse{},
	} {
		if err := responses.add(r.ProtoReflect().Descriptor()); err != nil {
			return nil, err
		}
	}
	j := &jsonModel{Responses: responses.Messages, Enums: requests.Enums}
	j.All = append(append(j.All, requests.Messages...), responses.Messages...)
	for _, m := range j.All {
		if len(m.Oneofs) > 1 {
			return nil, fmt.Errorf("%s has more than one oneof, which the JSON tables do not support", m.Proto)
		}
	}
	return j, nil
}

// idBytes are the identifiers and their lengths in bytes (trace.proto, profiles.proto).
// They are hex digits in JSON, by "JSON Protobuf Encoding" of OTLP and, for
// profile_id, as in the Collector.
var idBytes = map[string]int{"trace_id": 16, "span_id": 8, "parent_span_id": 8, "profile_id": 16}

// IDBytes returns the length of the identifier, 0 if the field is none.
func (f *field) IDBytes() int {
	if f.Kind != protoreflect.BytesKind {
		return 0
	}
	return idBytes[f.Proto]
}

// JSONKind is the field's kind in the JSON tables.
func (f *field) JSONKind() string {
	if f.IDBytes() > 0 {
		return "jsonHex"
	}
	k := f.Kind.String()
	return "json" + strings.ToUpper(k[:1]) + k[1:]
}

// JSONArg is the argument of the kind: the nested message, the enum, or the length of
// an identifier.
func (f *field) JSONArg() string {
	switch f.Kind {
	case protoreflect.MessageKind:
		return "msg" + f.Type
	case protoreflect.EnumKind:
		return "json" + f.Type
	}
	return fmt.Sprint(f.IDBytes())
}

// JSONForm is the cardinality of the field.
func (f *field) JSONForm() string {
	switch {
	case f.List:
		return "formList"
	case f.Oneof != "":
		return "formOneof"
	case f.Has:
		return "formPresent"
	}
	return "formPlain"
}
