package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// The messages that Check processes separately: those that count as items, and those
// with an op of their own.
var (
	itemMessages = map[string]bool{
		"Span": true, "LogRecord": true, "Sample": true, "NumberDataPoint": true,
		"HistogramDataPoint": true, "ExponentialHistogramDataPoint": true, "SummaryDataPoint": true,
	}
	messageOps = map[string]string{"KeyValue": "opKeyValue", "AnyValue": "opValue", "Metric": "opMetric"}
	// valueMessages are those of which values consist, except for KeyValue.
	valueMessages = map[string]bool{"AnyValue": true, "ArrayValue": true, "KeyValueList": true}
)

// Row is one entry of a message's tag table as a Go literal.
type Row struct {
	Tag  uint32
	Op   string
	Arg  string
	Note string
}

// Rows returns the tag table of the message: the known tags, and for each known number
// the tags with the wrong wire types.
func (m *message) Rows() []Row {
	var rows []Row
	for _, f := range m.Fields {
		good := map[uint32]Row{}
		op, arg := f.op(m)
		good[f.Tag()] = Row{f.Tag(), op, arg, f.Proto}
		if f.List && f.Wire() != 2 {
			good[f.PackedTag()] = Row{f.PackedTag(), f.packedOp(), f.arg(), f.Proto + ", packed"}
		}
		for t := range uint32(8) {
			tag := f.Num<<3 | t
			if r, ok := good[tag]; ok {
				rows = append(rows, r)
			} else {
				rows = append(rows, Row{Tag: tag, Op: "opBadType", Arg: "0"})
			}
		}
	}
	return rows
}

func (f *field) arg() string {
	if f.Table != 0 {
		return fmt.Sprint(f.Table)
	}
	return "0"
}

func (f *field) op(m *message) (op, arg string) {
	switch {
	case f.IsMessage():
		arg = "msg" + f.Type
		if valueMessages[f.Type] && !f.List {
			return "opOneValue", arg
		}
		if op, ok := messageOps[f.Type]; ok {
			return op, arg
		}
		if m.Name == "Metric" && f.Oneof != "" {
			return "opMetricData", arg
		}
		if itemMessages[f.Type] {
			return "opItem", arg
		}
		if !f.List {
			return "opOneMessage", arg
		}
		return "opMessage", arg
	case f.Table != 0:
		return "opIndex", f.arg()
	}
	if f.Kind == protoreflect.StringKind {
		return "opBytes", "isText"
	}
	if n := f.IDBytes(); n > 0 {
		return "opID", fmt.Sprint(n)
	}
	return [...]string{"opVarint", "opFixed64", "opBytes", "", "", "opFixed32"}[f.Wire()], "0"
}

func (f *field) packedOp() string {
	if f.Table != 0 {
		return "opPackedIndex"
	}
	return [...]string{"opPackedVarint", "opPackedFixed64", "", "", "", "opPackedFixed32"}[f.Wire()]
}

// FieldNames lists the field names of the message by number, for error messages.
func (m *message) FieldNames() string {
	var b strings.Builder
	for _, f := range m.Fields {
		fmt.Fprintf(&b, "%d: %q, ", f.Num, f.Proto)
	}
	return strings.TrimSuffix(b.String(), ", ")
}
