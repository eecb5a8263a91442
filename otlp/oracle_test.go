package otlp

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// official returns the official module's descriptor of a request, with one change:
// strings are bytes. The module rejects strings that are not valid UTF-8, which
// Check accepts on purpose; with the change it checks everything else.
func official(t testing.TB, s Signal) protoreflect.MessageDescriptor {
	t.Helper()
	request := map[Signal]proto.Message{
		Traces: &coltraces.ExportTraceServiceRequest{}, Metrics: &colmetrics.ExportMetricsServiceRequest{},
		Logs: &collogs.ExportLogsServiceRequest{}, Profiles: &colprofiles.ExportProfilesServiceRequest{},
	}[s].ProtoReflect().Descriptor()
	set, seen := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		p := protodesc.ToFileDescriptorProto(f)
		for _, m := range p.MessageType {
			stringsToBytes(m)
		}
		set.File = append(set.File, p)
	}
	add(request.ParentFile())
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	d, err := files.FindDescriptorByName(request.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.MessageDescriptor)
}

func stringsToBytes(m *descriptorpb.DescriptorProto) {
	for _, f := range m.Field {
		if f.GetType() == descriptorpb.FieldDescriptorProto_TYPE_STRING {
			f.Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
		}
	}
	for _, n := range m.NestedType {
		stringsToBytes(n)
	}
}

// oracle checks requests with the official descriptors.
type oracle map[Signal]protoreflect.MessageDescriptor

func newOracle(t testing.TB) oracle {
	o := oracle{}
	for _, s := range Signals() {
		o[s] = official(t, s)
	}
	return o
}

// indexFields holds the dictionary table of each index field, according to the
// comments of profiles.proto and common.proto.
var indexFields = map[string]string{
	"KeyValue.key_strindex": "string_table", "AnyValue.string_value_strindex": "string_table",
	"KeyValueAndUnit.key_strindex": "string_table", "KeyValueAndUnit.unit_strindex": "string_table",
	"ValueType.type_strindex": "string_table", "ValueType.unit_strindex": "string_table",
	"Mapping.filename_strindex": "string_table", "Mapping.attribute_indices": "attribute_table",
	"Location.mapping_index": "mapping_table", "Location.attribute_indices": "attribute_table",
	"Line.function_index":    "function_table",
	"Function.name_strindex": "string_table", "Function.system_name_strindex": "string_table", "Function.filename_strindex": "string_table",
	"Stack.location_indices": "location_table",
	"Sample.stack_index":     "stack_table", "Sample.attribute_indices": "attribute_table", "Sample.link_index": "link_table",
	"Profile.attribute_indices": "attribute_table",
}

// faults are the documented reasons for which Check rejects requests that the
// official module accepts. The test finds them in a request by a walk of its own,
// which uses the descriptors and recursion.
type faults struct{ mistyped, outside, deep, id bool }

// justified reports whether err is one of them and was found in the request.
func (f faults) justified(err error) bool {
	var typ *typeError
	var index *indexError
	var id *idError
	var depth *DepthError
	switch {
	case errors.As(err, &id):
		return f.id
	case errors.As(err, &typ):
		return f.mistyped
	case errors.As(err, &index):
		return f.outside
	case errors.As(err, &depth):
		return f.deep
	}
	return errors.Is(err, wire.ErrDepth)
}

// ofValue reports whether values consist of such messages.
func ofValue(d protoreflect.MessageDescriptor) bool {
	switch d.Name() {
	case "KeyValue", "AnyValue", "ArrayValue", "KeyValueList":
		return true
	}
	return false
}

func (f *faults) find(d protoreflect.MessageDescriptor, data []byte, sizes map[string]uint64, depth int) {
	if ofValue(d) {
		depth++
	}
	f.deep = f.deep || depth > DefaultDepth
	for c := (wire.Cursor{Buf: data}); c.Next(); {
		fd := d.Fields().ByNumber(protoreflect.FieldNumber(c.Num))
		if fd == nil {
			continue
		}
		own := wireTypes[fd.Kind()]
		packed := fd.IsList() && own != wire.TypeBytes && c.Type == wire.TypeBytes
		f.mistyped = f.mistyped || c.Type != own && !packed
		f.id = f.id || isID(fd) && len(c.Bytes) > 0 && len(c.Bytes) != idLength(fd)
		if fd.Kind() == protoreflect.MessageKind && c.Type == wire.TypeBytes {
			f.find(fd.Message(), c.Bytes, sizes, depth)
		}
		table := indexFields[string(d.Name())+"."+string(fd.Name())]
		if table == "" || sizes == nil {
			continue
		}
		values := []uint64{c.Scalar}
		if packed {
			values = nil
			for v := range (Varints[uint64]{region{data[c.Start:c.End], c.Num}}).All() {
				values = append(values, v)
			}
		}
		for _, v := range values {
			f.outside = f.outside || uint32(v) != 0 && uint64(uint32(v)) >= sizes[table]
		}
	}
}

// isID and idLength say which fields are identifiers, and of how many bytes, by the
// comments of trace.proto and profiles.proto.
func isID(f protoreflect.FieldDescriptor) bool {
	return f.Kind() == protoreflect.BytesKind && strings.HasSuffix(string(f.Name()), "_id")
}

// idLengthOf is 0 for other fields.
func idLengthOf(f protoreflect.FieldDescriptor) int {
	if !isID(f) {
		return 0
	}
	return idLength(f)
}

func idLength(f protoreflect.FieldDescriptor) int {
	if strings.HasSuffix(string(f.Name()), "span_id") {
		return 8
	}
	return 16
}

var wireTypes = map[protoreflect.Kind]wire.Type{
	protoreflect.DoubleKind: wire.TypeFixed64, protoreflect.Fixed64Kind: wire.TypeFixed64, protoreflect.Sfixed64Kind: wire.TypeFixed64,
	protoreflect.Fixed32Kind: wire.TypeFixed32,
	protoreflect.BytesKind:   wire.TypeBytes, protoreflect.MessageKind: wire.TypeBytes,
} // all others are varints, which is the zero wire.Type

// faultsIn finds the documented reasons in a request of signal s.
func (o oracle) faultsIn(s Signal, data []byte) (f faults) {
	var sizes map[string]uint64
	if d := o[s].Fields().ByName("dictionary"); d != nil {
		sizes = map[string]uint64{}
		for c := (wire.Cursor{Buf: data}); c.Next(); {
			if c.Num != uint32(d.Number()) || c.Type != wire.TypeBytes {
				continue
			}
			for t := (wire.Cursor{Buf: c.Bytes}); t.Next(); {
				if fd := d.Message().Fields().ByNumber(protoreflect.FieldNumber(t.Num)); fd != nil && t.Type == wire.TypeBytes {
					sizes[string(fd.Name())]++
				}
			}
		}
	}
	f.find(o[s], data, sizes, 0)
	return f
}

// compare compares Check and the views of data with the official module.
func (o oracle) compare(t *testing.T, s Signal, data []byte) {
	t.Helper()
	want := dynamicpb.NewMessage(o[s])
	wantErr := proto.Unmarshal(data, want)
	items, err := Check(s, data)
	switch {
	case err != nil && wantErr == nil && o.faultsIn(s, data).justified(err):
		return
	case (err == nil) != (wantErr == nil):
		t.Fatalf("%s: Check says %v, the official module %v", s, err, wantErr)
	case err != nil:
		return
	}
	if f := o.faultsIn(s, data); f != (faults{}) {
		t.Fatalf("%s: Check accepts what it should refuse: %+v", s, f)
	}
	if n := countItems(want); n != items {
		t.Fatalf("%s: Check counts %d items, the official module %d", s, items, n)
	}
	compareView(t, rootView(s, data), want, string(o[s].Name()))
}

func rootView(s Signal, data []byte) reflect.Value {
	return map[Signal]reflect.Value{
		Traces: reflect.ValueOf(ExportTraceServiceRequest(data)), Metrics: reflect.ValueOf(ExportMetricsServiceRequest(data)),
		Logs: reflect.ValueOf(ExportLogsServiceRequest(data)), Profiles: reflect.ValueOf(ExportProfilesServiceRequest(data)),
	}[s]
}

// compareView compares every getter of view, and every field of its Decode, with the
// message that the official module reads from the same bytes.
func compareView(t *testing.T, view reflect.Value, want protoreflect.Message, path string) {
	t.Helper()
	decoded := view.MethodByName("Decode").Call(nil)[0]
	fields := want.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		name := camel(string(f.Name()))
		got := view.MethodByName(name).Call(nil)
		where := path + "." + name
		compareField(t, got, want, f, where)
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
			oneof := camel(string(o.Name()))
			if d, g := decoded.FieldByName(oneof).Interface(), view.MethodByName(oneof).Call(nil)[0].Interface(); !reflect.DeepEqual(d, g) {
				t.Fatalf("%s.%s: Decode says %v, the getter %v", path, oneof, d, g)
			}
			continue
		}
		from := []reflect.Value{decoded.FieldByName(name)}
		if f.HasOptionalKeyword() {
			from = append(from, decoded.FieldByName("Has"+name))
		}
		if d, g := flat(from), flat(got); !reflect.DeepEqual(d, g) {
			t.Fatalf("%s: Decode says %v, the getter %v", where, d, g)
		}
	}
}

// flat makes values comparable: lists become their elements, doubles their bits.
func flat(vs []reflect.Value) (out []any) {
	for _, v := range vs {
		switch {
		case v.MethodByName("All").IsValid():
			for e := range v.MethodByName("All").Call(nil)[0].Seq() {
				out = append(out, flat([]reflect.Value{e})...)
			}
		case v.Kind() == reflect.Float64:
			out = append(out, math.Float64bits(v.Float()))
		case v.Kind() == reflect.Slice:
			out = append(out, v.IsNil(), string(v.Bytes()))
		default:
			out = append(out, v.Interface())
		}
	}
	return out
}

// compareField compares a field's value, and its presence if got has two parts.
func compareField(t *testing.T, got []reflect.Value, want protoreflect.Message, f protoreflect.FieldDescriptor, where string) {
	t.Helper()
	if f.IsList() {
		compareList(t, got[0], want.Get(f).List(), f, where)
		return
	}
	has := want.Has(f)
	if len(got) == 2 && got[1].Bool() != has {
		t.Fatalf("%s: present: the view says %v, the official module %v", where, got[1].Bool(), has)
	}
	if f.Kind() == protoreflect.MessageKind {
		if got[0].IsNil() == has && f.ContainingOneof() == nil {
			t.Fatalf("%s: the view is nil: %v, the official module has it: %v", where, got[0].IsNil(), has)
		}
		if !has {
			return
		}
	}
	compareValue(t, got[0], want.Get(f), f, where)
}

func compareList(t *testing.T, got reflect.Value, want protoreflect.List, f protoreflect.FieldDescriptor, where string) {
	t.Helper()
	n := 0
	for v := range got.MethodByName("All").Call(nil)[0].Seq() {
		if n >= want.Len() {
			t.Fatalf("%s: the view has more than %d elements", where, want.Len())
		}
		compareValue(t, v, want.Get(n), f, fmt.Sprintf("%s[%d]", where, n))
		n++
	}
	if l := int(got.MethodByName("Len").Call(nil)[0].Int()); n != want.Len() || l != n {
		t.Fatalf("%s: the view has %d elements and says %d, the official module %d", where, n, l, want.Len())
	}
}

func compareValue(t *testing.T, got reflect.Value, want protoreflect.Value, f protoreflect.FieldDescriptor, where string) {
	t.Helper()
	same := false
	switch f.Kind() {
	case protoreflect.MessageKind:
		compareView(t, got, want.Message(), where)
		return
	case protoreflect.BytesKind:
		same = string(got.Bytes()) == string(want.Bytes())
	case protoreflect.BoolKind:
		same = got.Bool() == want.Bool()
	case protoreflect.DoubleKind:
		same = math.Float64bits(got.Float()) == math.Float64bits(want.Float())
	case protoreflect.EnumKind:
		same = got.Int() == int64(want.Enum())
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		same = got.Uint() == want.Uint()
	default:
		same = got.Int() == want.Int()
	}
	if !same {
		t.Fatalf("%s: the view says %v, the official module %v", where, got, want)
	}
}

// camel converts names like the generator.
func camel(s string) (out string) {
	for w := range strings.SplitSeq(s, "_") {
		if w == "id" || w == "url" {
			out += strings.ToUpper(w)
		} else {
			out += strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return out
}

func countItems(m protoreflect.Message) (n int) {
	if itemNames[m.Descriptor().FullName()] {
		n++
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				n += countItems(v.List().Get(i).Message())
			}
		default:
			n += countItems(v.Message())
		}
		return true
	})
	return n
}

var itemNames = map[protoreflect.FullName]bool{
	"opentelemetry.proto.trace.v1.Span": true, "opentelemetry.proto.logs.v1.LogRecord": true,
	"opentelemetry.proto.profiles.v1development.Sample":            true,
	"opentelemetry.proto.metrics.v1.NumberDataPoint":               true,
	"opentelemetry.proto.metrics.v1.HistogramDataPoint":            true,
	"opentelemetry.proto.metrics.v1.ExponentialHistogramDataPoint": true,
	"opentelemetry.proto.metrics.v1.SummaryDataPoint":              true,
}

// profilerPayloads has requests of the OpenTelemetry eBPF profiler. Tests of other
// packages read them with testkit.ProfilerPayloads; testkit imports this package.
const profilerPayloads = "../internal/test/testkit/testdata/profiles/"

func TestRealProfilesPass(t *testing.T) {
	files, err := filepath.Glob(profilerPayloads + "*.binpb")
	if err != nil || len(files) == 0 {
		t.Fatal("no payloads", err)
	}
	o := newOracle(t)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := Check(Profiles, data); err != nil || n == 0 {
				t.Fatalf("%d samples, %v", n, err)
			}
			o.compare(t, Profiles, data)
		})
	}
}

// Requests of every signal are accepted, and read like the official module reads
// them.
func TestWholeRequests(t *testing.T) {
	o := newOracle(t)
	for s, data := range seeds(t) {
		if n, err := Check(s, data); err != nil || n == 0 {
			t.Errorf("%s: %d items, %v", s, n, err)
		}
		o.compare(t, s, data)
	}
}

// For every truncation and many bit flips of a request, the result is that of the
// official module, or there is a documented reason.
func TestTruncationsAndFlips(t *testing.T) {
	o := newOracle(t)
	for s, data := range seeds(t) {
		// All positions at the beginning, where most messages begin, and every
		// 97th of the rest.
		for i := 0; i < len(data); {
			o.compare(t, s, data[:i])
			bad := append([]byte(nil), data...)
			bad[i] ^= [3]byte{0x01, 0x80, 0xff}[i%3]
			o.compare(t, s, bad)
			if i++; i > 150 {
				i += 96
			}
		}
	}
}

// seeds returns one small request of each signal.
func seeds(t testing.TB) map[Signal][]byte {
	t.Helper()
	p, err := os.ReadFile(profilerPayloads + "oncpu-001.binpb")
	if err != nil {
		t.Fatal(err)
	}
	return map[Signal][]byte{Traces: spansRequest(2), Metrics: metricsRequest(), Logs: logsRequest(), Profiles: p}
}

func FuzzCheck(f *testing.F) {
	for s, data := range seeds(f) {
		f.Add(uint8(s-1), data)
	}
	for _, c := range nastyCases() {
		f.Add(uint8(c.signal-1), c.data)
	}
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, s uint8, data []byte) {
		o.compare(t, Signal(s%4)+1, data)
	})
}

func TestCheckDoesNotAllocate(t *testing.T) {
	for s, data := range seeds(t) {
		if n := testing.AllocsPerRun(20, func() { _, _ = Check(s, data) }); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}

// metricsRequest has one metric of each kind, with every field set.
func metricsRequest() []byte {
	var e Encoder
	req := AppendExportMetricsServiceRequest(&e)
	rm := req.AddResourceMetrics()
	rm.SetSchemaURL("https://opentelemetry.io/schemas/1.37.0")
	sm := rm.AddScopeMetrics()
	open := func(name string) MetricBuilder {
		m := sm.AddMetrics()
		m.SetName(name)
		m.SetUnit("By")
		m.SetDescription("what it measures")
		return m
	}
	m := open("gauge")
	g := m.SetGauge()
	for i := range 3 {
		p := g.AddDataPoints()
		attribute(p.AddAttributes(), "cpu", fmt.Sprint(i))
		p.SetTimeUnixNano(1 << 60)
		p.SetAsDouble(-0.5)
		p.SetFlags(1)
		x := p.AddExemplars()
		x.SetAsInt(-7)
		x.SetTraceID(make([]byte, 16))
		x.Close()
		p.Close()
	}
	g.Close()
	m.Close()

	m = open("sum")
	su := m.SetSum()
	su.SetAggregationTemporality(2)
	su.SetIsMonotonic(true)
	p := su.AddDataPoints()
	p.SetAsInt(-42)
	p.SetStartTimeUnixNano(1)
	p.Close()
	su.Close()
	m.Close()

	m = open("histogram")
	h := m.SetHistogram()
	hp := h.AddDataPoints()
	hp.SetCount(3)
	hp.SetSum(0)
	hp.SetMin(-1)
	hp.SetMax(math.Inf(1))
	hp.AddBucketCounts(1, 2, 0)
	hp.AddExplicitBounds(0.5, 10)
	hp.Close()
	h.Close()
	m.Close()

	m = open("exponential")
	eh := m.SetExponentialHistogram()
	ep := eh.AddDataPoints()
	ep.SetScale(-3)
	ep.SetZeroCount(2)
	ep.SetZeroThreshold(1e-9)
	b := ep.SetPositive()
	b.SetOffset(-2)
	b.AddBucketCounts(1, 0, 1<<40)
	b.Close()
	ep.Close()
	eh.Close()
	m.Close()

	m = open("summary")
	sy := m.SetSummary()
	sp := sy.AddDataPoints()
	q := sp.AddQuantileValues()
	q.SetQuantile(0.99)
	q.SetValue(12)
	q.Close()
	sp.Close()
	sy.Close()
	attribute(m.AddMetadata(), "note", "metadata")
	m.Close()
	sm.Close()
	rm.Close()
	req.Close()
	return e.Buf
}

func attribute(kv KeyValueBuilder, k, v string) {
	kv.SetKey(k)
	a := kv.SetValue()
	a.SetStringValue(v)
	a.Close()
	kv.Close()
}

// logsRequest has bodies of every kind of value.
func logsRequest() []byte {
	var e Encoder
	req := AppendExportLogsServiceRequest(&e)
	rl := req.AddResourceLogs()
	sl := rl.AddScopeLogs()
	record := func(fill func(AnyValueBuilder)) {
		r := sl.AddLogRecords()
		r.SetSeverityNumber(9)
		r.SetSeverityText("INFO")
		r.SetEventName("device.started")
		r.SetTimeUnixNano(1 << 60)
		body := r.SetBody()
		fill(body)
		body.Close()
		r.Close()
	}
	record(func(b AnyValueBuilder) { b.SetStringValue("started \xff not UTF-8") })
	record(func(b AnyValueBuilder) { b.SetBoolValue(false) })
	record(func(b AnyValueBuilder) { b.SetIntValue(math.MinInt64) })
	record(func(b AnyValueBuilder) { b.SetDoubleValue(math.Copysign(0, -1)) })
	record(func(b AnyValueBuilder) { b.SetBytesValue([]byte{0, 255}) })
	record(func(b AnyValueBuilder) {
		a := b.SetArrayValue()
		v := a.AddValues()
		l := v.SetKvlistValue()
		attribute(l.AddValues(), "inner", "value")
		l.Close()
		v.Close()
		a.Close()
	})
	sl.Close()
	rl.Close()
	req.Close()
	return e.Buf
}
