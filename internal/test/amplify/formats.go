package amplify

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// agentFormat is a request of the reporter to a collection agent.
func agentFormat() *Format {
	header, err := proto.Marshal(&collectionagentv1.ReportRequest{InstanceId: make([]byte, collectionagentv1.IDBytes), Sequence: 1})
	if err != nil {
		panic(err) // never: the message is valid
	}
	return &Format{Name: "report", root: (&collectionagentv1.ReportRequest{}).ProtoReflect().Descriptor(), prefix: header}
}

// pprofFormat is a profile in the format of pprof.
func pprofFormat() *Format {
	return &Format{Name: "pprof", root: pprofDescriptor(), prefix: []byte{6<<3 | 2, 0}} // the first string is empty
}

// pprofDescriptor describes profile.proto of github.com/google/pprof, whose Go package
// has no descriptor.
func pprofDescriptor() protoreflect.MessageDescriptor {
	const (
		int64s = descriptorpb.FieldDescriptorProto_TYPE_INT64
		uints  = descriptorpb.FieldDescriptorProto_TYPE_UINT64
		text   = descriptorpb.FieldDescriptorProto_TYPE_STRING
	)
	field := func(num int32, name string, t descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{Name: proto.String(name), Number: proto.Int32(num), Type: t.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
	}
	list := func(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		return f
	}
	of := func(num int32, name, message string) *descriptorpb.FieldDescriptorProto {
		f := field(num, name, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE)
		f.TypeName = proto.String(".amplify." + message)
		return f
	}
	numbered := func(t descriptorpb.FieldDescriptorProto_Type, names ...string) (fields []*descriptorpb.FieldDescriptorProto) {
		for i, name := range names {
			fields = append(fields, field(int32(i+1), name, t))
		}
		return fields
	}
	message := func(name string, fields ...*descriptorpb.FieldDescriptorProto) *descriptorpb.DescriptorProto {
		return &descriptorpb.DescriptorProto{Name: proto.String(name), Field: fields}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("amplify/pprof.proto"), Package: proto.String("amplify"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{
			message("Profile", list(of(1, "sample_type", "ValueType")), list(of(2, "sample", "Sample")), list(of(3, "mapping", "Mapping")),
				list(of(4, "location", "Location")), list(of(5, "function", "Function")), list(field(6, "string_table", text)),
				field(7, "drop_frames", int64s), field(8, "keep_frames", int64s), field(9, "time_nanos", int64s), field(10, "duration_nanos", int64s),
				of(11, "period_type", "ValueType"), field(12, "period", int64s), list(field(13, "comment", int64s)), field(14, "default_sample_type", int64s)),
			message("ValueType", numbered(int64s, "type", "unit")...),
			message("Sample", list(field(1, "location_id", uints)), list(field(2, "value", int64s)), list(of(3, "label", "Label"))),
			message("Label", numbered(int64s, "key", "str", "num", "num_unit")...),
			message("Mapping", numbered(uints, "id", "memory_start", "memory_limit", "file_offset", "filename", "build_id", "has_functions")...),
			message("Location", field(1, "id", uints), field(2, "mapping_id", uints), field(3, "address", uints), list(of(4, "line", "Line")), field(5, "is_folded", uints)),
			message("Line", field(1, "function_id", uints), field(2, "line", int64s), field(3, "column", int64s)),
			message("Function", numbered(int64s, "id", "name", "system_name", "filename", "start_line")...),
		},
	}, nil)
	if err != nil {
		panic(err) // the literal above is wrong
	}
	return file.Messages().ByName("Profile")
}
