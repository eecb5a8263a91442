// Package collectionagentv1 is the service between a reporter and its collection
// agent: collectionagent.proto, what is generated from it, and the rules that are
// written there as code, for both ends.
//
//	reporter: Check of each entry ─► request ─► agent: Parse of the request, Check of each entry
//
// The one trap: Check's rules are the protocol. An agent that is stricter than
// an older reporter refuses whole requests of it.
package collectionagentv1

//go:generate go -C ../../../tools run ./protogen -root .. reporter/collectionagent/v1/collectionagent.proto

import (
	"fmt"
	"math"
)

// The bounds of collectionagent.proto.
const (
	// IDBytes is the length of ids and hashes.
	IDBytes = 16
	// MaxTextBytes is the length of any text.
	MaxTextBytes = 64 << 10
	// MaxFrames is the length of a stack.
	MaxFrames = 8192
	// MaxHostKeys is how many keys HostMetadata has.
	MaxHostKeys = 1024
	// MaxMetricValues is how many values MetricValues has.
	MaxMetricValues = 8192
	// SequenceWindow is how many numbers of an instance an agent remembers.
	SequenceWindow = 1024
	// MaxUnknownTraces is how many traces an answer asks for.
	MaxUnknownTraces = 16384
)

// Fault is a rule that a message breaks.
type Fault struct {
	// Field is the way to the field: "counts[3].trace_hash".
	Field string
	// Text says what was expected and what was found.
	Text string
}

func (f *Fault) Error() string { return f.Field + ": " + f.Text }

func faultf(field, format string, args ...any) *Fault {
	return &Fault{Field: field, Text: fmt.Sprintf(format, args...)}
}

// Entry is a message that a request holds lists of.
type Entry interface {
	// Check returns the first rule that the message breaks, nil if none.
	Check() *Fault
}

// Check returns the first rule that the request breaks, nil if none.
func (x *ReportRequest) Check() *Fault {
	if f := first(checkID("instance_id", x.InstanceId)); f != nil {
		return f
	}
	return first(checkSequence(x.Sequence),
		checkList("traces", x.Traces), checkList("counts", x.Counts), checkList("frames", x.Frames),
		checkList("executables", x.Executables), checkList("symbols", x.Symbols), checkList("hosts", x.Hosts),
		checkList("metrics", x.Metrics))
}

func checkList[E Entry](name string, list []E) *Fault {
	for i, e := range list {
		if f := e.Check(); f != nil {
			return f.within(name, i)
		}
	}
	return nil
}

// Check implements Entry.
func (x *TraceFrames) Check() *Fault {
	n := len(x.Addresses)
	switch {
	case n > MaxFrames:
		return faultf("addresses", "expected at most %d frames, found %d", MaxFrames, n)
	case len(x.FileIds) != n*IDBytes:
		return faultf("file_ids", "expected %d bytes, %d for each of %d addresses, found %d", n*IDBytes, IDBytes, n, len(x.FileIds))
	case len(x.Types) != n:
		return faultf("types", "expected one for each of %d addresses, found %d", n, len(x.Types))
	}
	for i, t := range x.Types {
		if t > math.MaxUint8 {
			return faultf(fmt.Sprintf("types[%d]", i), "expected 0 to 255, found %d", t)
		}
	}
	return checkID("hash", x.Hash)
}

// Check implements Entry.
func (x *TraceCount) Check() *Fault {
	if x.Count > math.MaxUint16 {
		return faultf("count", "expected 0 to 65535, found %d", x.Count)
	}
	return first(checkID("trace_hash", x.TraceHash), checkText("comm", x.Comm),
		checkText("pod_name", x.PodName), checkText("container_name", x.ContainerName))
}

// Check implements Entry.
func (x *FrameMetadata) Check() *Fault {
	return first(checkID("file_id", x.FileId), checkText("function_name", x.FunctionName), checkText("file_path", x.FilePath))
}

// Check implements Entry.
func (x *ExecutableMetadata) Check() *Fault {
	return first(checkID("file_id", x.FileId), checkText("file_name", x.FileName), checkText("build_id", x.BuildId))
}

// Check implements Entry.
func (x *FallbackSymbol) Check() *Fault {
	return first(checkID("file_id", x.FileId), checkText("symbol", x.Symbol))
}

// Check implements Entry.
func (x *HostMetadata) Check() *Fault {
	if len(x.Metadata) > MaxHostKeys {
		return faultf("metadata", "expected at most %d keys, found %d", MaxHostKeys, len(x.Metadata))
	}
	for k, v := range x.Metadata {
		if k == "" {
			return faultf("metadata", "a key is empty")
		}
		if f := first(checkText("metadata", k), checkText("metadata", v)); f != nil {
			return f
		}
	}
	return nil
}

// Check implements Entry.
func (x *MetricValues) Check() *Fault {
	switch {
	case len(x.Ids) > MaxMetricValues:
		return faultf("ids", "expected at most %d, found %d", MaxMetricValues, len(x.Ids))
	case len(x.Ids) != len(x.Values):
		return faultf("values", "expected one for each of %d ids, found %d", len(x.Ids), len(x.Values))
	}
	return nil
}

func checkID(field string, id []byte) *Fault {
	if len(id) != IDBytes {
		return faultf(field, "expected %d bytes, found %d", IDBytes, len(id))
	}
	return nil
}

func checkSequence(n uint64) *Fault {
	if n == 0 {
		return faultf("sequence", "expected a number from 1, found 0")
	}
	return nil
}

// checkText leaves UTF-8 to the protobuf module, which refuses invalid text.
func checkText(field, s string) *Fault {
	if len(s) > MaxTextBytes {
		return faultf(field, "expected at most %d bytes, found %d", MaxTextBytes, len(s))
	}
	return nil
}

func first(faults ...*Fault) *Fault {
	for _, f := range faults {
		if f != nil {
			return f
		}
	}
	return nil
}
