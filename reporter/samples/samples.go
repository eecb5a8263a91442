// Package samples holds what a profiler says of one sample: a resolved stack,
// when and where it was taken, and what its number means.
//
//	Trace{Frames}  +  TraceEventMeta{time, process, thread, labels, Origin}
//
// The one trap: an Origin is read after the call, when the report is written, so
// it must not be changed any more. Everything else is copied, or never changes.
package samples

import (
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
)

// Trace is a resolved stack.
type Trace struct {
	// Frames is the stack, leaf first. The slice is not kept.
	Frames libpf.Frames
	// CustomLabels are labels of the thread at that time, such as those of
	// runtime/pprof.Do. Each becomes the attribute process.context.label.KEY.
	CustomLabels map[string]string
}

// TraceEventMeta is what is known of a sample beside its stack. Empty fields are
// unknown, and are left out.
type TraceEventMeta struct {
	// Timestamp is Unix time in nanoseconds.
	Timestamp int64
	// Value is the sample's number if the Origin's Shape has numbers: nanoseconds
	// off the CPU, bytes.
	Value int64
	// Origin says what kind of profile the sample belongs to. It is required.
	Origin *Origin

	// Comm is the thread's name, TID its number, CPU the processor it ran on.
	Comm string
	TID  int64
	CPU  int64
	// PID and what follows describe the process: the resource.
	PID            int64
	ProcessName    string
	ExecutablePath string
	ContainerID    string
	PodName        string
	ContainerName  string
	APMServiceName string
	// EnvVars are environment variables of the process worth keeping.
	EnvVars map[string]string
	// Resource is more attributes of the resource. It wins over the fields above.
	Resource libpf.Attributes

	// TraceID and SpanID are of the span that ran, if both are not zero.
	TraceID [16]byte
	SpanID  [8]byte
	// Attributes are more attributes of the sample.
	Attributes libpf.Attributes
	// NoThread says that TID and CPU are unknown. Else both are always told, for
	// 0 is a number of a processor.
	NoThread bool
}

// Shape says what a sample of a profile holds (profiles.proto, Sample).
type Shape uint8

const (
	// Timestamps: each event counts 1 and has a time.
	Timestamps Shape = iota
	// TimestampsAndValues: each event has a time and a number.
	TimestampsAndValues
	// Totals: the events of a sample are added up to one number, times are
	// forgotten.
	Totals
)

// ValueType is what a number counts, and its unit (UCUM).
type ValueType struct{ Type, Unit string }

// Origin is where samples come from, and so what their numbers mean. The samples
// of one resource with equal Origins make one Profile. Make one Origin and use it
// again: that is compared fastest.
type Origin struct {
	SampleType ValueType
	// PeriodType and Period say how often samples are taken, if they are.
	PeriodType ValueType
	Period     int64
	Shape      Shape
	// Start and Duration are the time that Totals were collected in; a Duration of 0
	// is a moment. A Start that is zero, or before 1970, is unknown: then the time is
	// the Duration up to the end of the reporting interval, or that interval. A Start of
	// 1970 (time.Unix(0, 0)) is written as it is, which means unknown.
	Start    time.Time
	Duration time.Duration
	// Attributes are of the Profile.
	Attributes libpf.Attributes
}

// CPU returns the origin of samples taken perSecond times a second of each
// processor while it was busy. perSecond 0 is unknown.
func CPU(perSecond int) *Origin {
	o := &Origin{SampleType: ValueType{"samples", "count"}}
	if perSecond > 0 {
		o.PeriodType = ValueType{"cpu", "nanoseconds"}
		o.Period = int64(time.Second) / int64(perSecond)
	}
	return o
}

// OffCPU returns the origin of samples whose Value is the nanoseconds that a
// thread did not run.
func OffCPU() *Origin {
	return &Origin{SampleType: ValueType{"off_cpu", "nanoseconds"}, Shape: TimestampsAndValues}
}

// Probe returns the origin of samples taken whenever a kprobe or uprobe is hit.
func Probe() *Origin { return &Origin{SampleType: ValueType{"events", "count"}} }
