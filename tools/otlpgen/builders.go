package main

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Sparse reports whether the default value is not written (proto3, no presence).
func (f *field) Sparse() bool { return !f.Has && f.Oneof == "" }

// IsZero is the Go condition for v being the default.
func (f *field) IsZero() string {
	switch {
	case f.IsText():
		return "len(v) == 0"
	case f.Kind == protoreflect.BoolKind:
		return "!v"
	case f.Kind == protoreflect.DoubleKind:
		return "v == 0 && !negativeZero(v)"
	}
	return "v == 0"
}

// GoArg is the Go type of the argument of a setter.
func (f *field) GoArg() string {
	if f.Kind == protoreflect.StringKind {
		return "string"
	}
	return f.Go()
}

// Put is the call of the encoder that appends v.
func (f *field) Put() string {
	switch f.Kind {
	case protoreflect.StringKind:
		return fmt.Sprintf("String(%d, v)", f.Num)
	case protoreflect.BytesKind:
		return fmt.Sprintf("Bytes(%d, v)", f.Num)
	case protoreflect.DoubleKind:
		return fmt.Sprintf("Double(%d, v)", f.Num)
	case protoreflect.Fixed64Kind:
		return fmt.Sprintf("Fixed64(%d, v)", f.Num)
	case protoreflect.Sfixed64Kind:
		return fmt.Sprintf("Fixed64(%d, uint64(v))", f.Num)
	case protoreflect.Fixed32Kind:
		return fmt.Sprintf("Fixed32(%d, v)", f.Num)
	case protoreflect.BoolKind:
		return fmt.Sprintf("Varint(%d, boolVarint(v))", f.Num)
	case protoreflect.Sint32Kind:
		return fmt.Sprintf("Varint(%d, unzigzag(v))", f.Num)
	}
	return fmt.Sprintf("Varint(%d, uint64(v))", f.Num)
}

// PackFunc is the function that appends a packed list.
func (f *field) PackFunc() string {
	switch {
	case f.Wire() == 0:
		return "packVarints"
	case f.Kind == protoreflect.DoubleKind:
		return "packDoubles"
	}
	return "packFixed64s"
}
