package collectionagentv1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

func id(b byte) []byte { return bytes.Repeat([]byte{b}, IDBytes) }

// sample is a request with entries in every list.
func sample() *ReportRequest {
	return &ReportRequest{
		InstanceId: id(1), Sequence: 7,
		Traces: []*TraceFrames{
			{Hash: id(2), FileIds: append(id(3), id(4)...), Addresses: []uint64{1, math.MaxUint64}, Types: []uint32{3, 255}},
			{Hash: id(5)},
		},
		Counts:      []*TraceCount{{TraceHash: id(2), Timestamp: 1, Count: 65535, Comm: "c", PodName: "pod", ContainerName: "é"}, {TraceHash: id(2)}},
		Frames:      []*FrameMetadata{{FileId: id(3), AddressOrLine: 1 << 40, LineNumber: 3, FunctionOffset: 4, FunctionName: "f", FilePath: "p"}, {FileId: id(3)}},
		Executables: []*ExecutableMetadata{{FileId: id(3), FileName: "bin", BuildId: "ab"}},
		Symbols:     []*FallbackSymbol{{FileId: id(3), AddressOrLine: 9, Symbol: "s"}},
		Hosts:       []*HostMetadata{{Metadata: map[string]string{"k": "v", "": "", "l": ""}, Timestamp: 5}, {}},
		Metrics:     []*MetricValues{{Timestamp: 1, Ids: []uint32{1, 2}, Values: []int64{-1, math.MinInt64}}, {}},
	}
}

func marshal(t testing.TB, q *ReportRequest) []byte {
	t.Helper()
	b, err := proto.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// entries of a request as the protobuf module reads it, by list.
func entriesOf(q *ReportRequest) (all [listEnd][]Entry) {
	for _, e := range q.Traces {
		all[Traces] = append(all[Traces], e)
	}
	for _, e := range q.Counts {
		all[Counts] = append(all[Counts], e)
	}
	for _, e := range q.Frames {
		all[Frames] = append(all[Frames], e)
	}
	for _, e := range q.Executables {
		all[Executables] = append(all[Executables], e)
	}
	for _, e := range q.Symbols {
		all[Symbols] = append(all[Symbols], e)
	}
	for _, e := range q.Hosts {
		all[Hosts] = append(all[Hosts], e)
	}
	for _, e := range q.Metrics {
		all[Metrics] = append(all[Metrics], e)
	}
	return all
}

// bare returns an entry as text, without unknown fields.
func bare(e Entry) string {
	m := proto.Clone(e.(proto.Message))
	m.ProtoReflect().SetUnknown(nil)
	if h, ok := m.(*HostMetadata); ok { // maps print in any order
		var pairs []string
		for k, v := range h.Metadata {
			pairs = append(pairs, fmt.Sprintf("%q=%q", k, v))
		}
		slices.Sort(pairs)
		return fmt.Sprint(h.Timestamp, pairs)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%T %x", e, b)
}

// FuzzParse compares Parse with the protobuf module and Check: the same requests are
// taken, with the same entries.
func FuzzParse(f *testing.F) {
	good := sample()
	delete(good.Hosts[0].Metadata, "")
	f.Add(marshal(f, good))
	f.Add(marshal(f, sample()))
	for _, list := range []uint32{Traces, Counts, Frames, Executables, Symbols, Hosts, Metrics} {
		f.Add(append(marshal(f, &ReportRequest{InstanceId: id(1), Sequence: 1}), byte(list<<3|2), 0))
	}
	f.Add(append(marshal(f, good), "\x1a\x16\x0a\x10"+"0123456789abcdef"+"\x18\x01\x20\x02"...)) // lists that are not packed
	f.Add(append(marshal(f, good), "\x22\x03\x2a\x01\xff"...))                                   // not UTF-8
	f.Fuzz(func(t *testing.T, b []byte) {
		var want ReportRequest
		wantErr := proto.Unmarshal(b, &want)
		if wantErr == nil {
			if f := want.Check(); f != nil {
				wantErr = f
			}
		}
		got, err := Parse(context.Background(), b)
		if (err == nil) != (wantErr == nil) {
			if err != nil && strings.Contains(err.Error(), wire.ErrDepth.Error()) {
				t.Skip("groups nested deeper than this package goes")
			}
			t.Fatalf("Parse: %v, the protobuf module and Check: %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(got.InstanceID, want.InstanceId) || got.Sequence != want.Sequence {
			t.Errorf("%x %d, want %x %d", got.InstanceID, got.Sequence, want.InstanceId, want.Sequence)
		}
		for list, entries := range entriesOf(&want) {
			list := uint32(list)
			i := 0
			for e := range got.Entries(list) {
				if i >= len(entries) || bare(e) != bare(entries[i]) {
					t.Fatalf("%s[%d] is %s", listNames[list], i, bare(e))
				}
				i++
			}
			if i != len(entries) || got.Len(list) != i {
				t.Fatalf("%d and %d %s, want %d", i, got.Len(list), listNames[list], len(entries))
			}
		}
	})
}

// What breaks a rule is named, with the way to it.
func TestParseNamesTheField(t *testing.T) {
	t.Parallel()
	header := marshal(t, &ReportRequest{InstanceId: id(1), Sequence: 1})
	for name, c := range map[string]struct {
		bytes string
		want  string
	}{
		"not protobuf":       {"\xff", "request: expected protobuf, found truncated field"},
		"entry not protobuf": {"\x2a\x00", "frames[0].file_id: expected 16 bytes, found 0"},
		"entry truncated":    {"\x3a\x01\xff", "symbols[0]: expected protobuf, found truncated field"},
		"not UTF-8":          {"\x3a\x00"[:0] + "\x3a\x03\x1a\x01\xff", `symbols[0].symbol: expected UTF-8, found "\xff"`},
		"second entry":       {"\x4a\x00\x4a\x02\x10\x01", "metrics[1].values: expected one for each of 1 ids, found 0"},
		"too many":           {string(wire.AppendBytes(nil, Metrics, wire.AppendBytes(nil, 2, make([]byte, MaxMetricValues+1)))), "metrics[0].ids: expected at most 8192, found more"},
	} {
		_, err := Parse(t.Context(), append(slices.Clone(header), c.bytes...))
		var f *Fault
		if !errors.As(err, &f) || f.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if _, err := Parse(t.Context(), header[:18]); err == nil || !strings.HasPrefix(err.Error(), "sequence: ") {
		t.Errorf("without a number: %v", err)
	}
}

// Parse ends with its context.
func TestParseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := append(marshal(t, &ReportRequest{InstanceId: id(1), Sequence: 1}), bytes.Repeat([]byte{byte(Metrics<<3 | 2), 0}, 2*looksEvery)...)
	if _, err := Parse(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := Parse(ctx, b); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

// amplifiers are requests of about n bytes whose messages would take many times as
// much.
func amplifiers(t testing.TB, n int) map[string][]byte {
	header := marshal(t, &ReportRequest{InstanceId: id(1), Sequence: 1})
	repeat := func(entry []byte) []byte {
		return append(slices.Clone(header), bytes.Repeat(entry, n/len(entry))...)
	}
	one := func(q *ReportRequest) []byte { return repeat(marshal(t, q)) }
	all := map[string][]byte{
		"traces":        one(&ReportRequest{Traces: []*TraceFrames{{Hash: id(1)}}}),
		"counts":        one(&ReportRequest{Counts: []*TraceCount{{TraceHash: id(1), Comm: "a", PodName: "b", ContainerName: "c"}}}),
		"frames":        one(&ReportRequest{Frames: []*FrameMetadata{{FileId: id(1)}}}),
		"pairs":         one(&ReportRequest{Hosts: []*HostMetadata{{Metadata: map[string]string{"a": ""}}}}),
		"empty metrics": repeat([]byte{byte(Metrics<<3 | 2), 0}), "empty hosts": repeat([]byte{byte(Hosts<<3 | 2), 0}),
		"empty traces": repeat([]byte{byte(Traces<<3 | 2), 0}), "empty counts": repeat([]byte{byte(Counts<<3 | 2), 0}),
		"empty pairs":  append(slices.Clone(header), wire.AppendBytes(nil, Hosts, bytes.Repeat([]byte{0x0a, 0}, n/2))...),
		"long list":    append(slices.Clone(header), wire.AppendBytes(nil, Traces, wire.AppendBytes(nil, 3, make([]byte, n)))...),
		"short lists":  append(slices.Clone(header), wire.AppendBytes(nil, Metrics, bytes.Repeat([]byte{0x10, 1}, n/2))...),
		"unknown":      append(slices.Clone(header), bytes.Repeat([]byte{0x7a, 0}, n/2)...),
		"long text":    one(&ReportRequest{Symbols: []*FallbackSymbol{{FileId: id(1), Symbol: strings.Repeat("x", MaxTextBytes)}}}),
		"longest text": append(slices.Clone(header), wire.AppendBytes(nil, Symbols, wire.AppendBytes(nil, 3, make([]byte, n)))...),
	}
	most := &TraceFrames{Hash: id(1), FileIds: make([]byte, IDBytes*MaxFrames), Addresses: make([]uint64, MaxFrames), Types: make([]uint32, MaxFrames)}
	all["longest stack"] = one(&ReportRequest{Traces: []*TraceFrames{most}})
	host := &HostMetadata{Metadata: map[string]string{}}
	for i := range MaxHostKeys {
		host.Metadata[fmt.Sprint(i)] = strings.Repeat("v", n/2/MaxHostKeys)
	}
	all["largest host"] = one(&ReportRequest{Hosts: []*HostMetadata{host}})
	return all
}

// What Parse and Entries hold is less than ScratchBytes, whatever comes. It does not
// run beside other tests, which share the heap.
func TestScratchBytes(t *testing.T) {
	for _, n := range []int{1 << 10, 1 << 20} {
		for name, b := range amplifiers(t, n) {
			took := min(held(b), held(b), held(b)) // the runtime allocates now and then, too
			if took > ScratchBytes(len(b)) {
				t.Errorf("%s: %d bytes are held of a request of %d, ScratchBytes is %d", name, took, len(b), ScratchBytes(len(b)))
			}
		}
	}
}

// held returns by how much the heap grows for the result of Parse and Entries.
func held(b []byte) int {
	before := heap()
	q, err := Parse(context.Background(), b)
	if err == nil {
		for range q.Entries(Traces, Counts, Frames, Executables, Symbols, Hosts, Metrics) {
		}
	}
	took := heap() - before
	runtime.KeepAlive(q)
	runtime.KeepAlive(err)
	return took
}

// Entries without content cost no memory.
func TestEmptyEntriesAllocateNothing(t *testing.T) {
	b := append(marshal(t, &ReportRequest{InstanceId: id(1), Sequence: 1}), bytes.Repeat([]byte{byte(Metrics<<3 | 2), 0, byte(Hosts<<3 | 2), 0}, 1000)...)
	n := testing.AllocsPerRun(10, func() {
		q, err := Parse(context.Background(), b)
		if err != nil {
			t.Fatal(err)
		}
		for range q.Entries(Hosts, Metrics) {
		}
	})
	if n > 10 {
		t.Errorf("%v allocations for 2000 entries", n)
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func BenchmarkParse(b *testing.B) {
	q := sample()
	delete(q.Hosts[0].Metadata, "")
	for range 10 {
		q.Traces, q.Counts, q.Frames = append(q.Traces, q.Traces...), append(q.Counts, q.Counts...), append(q.Frames, q.Frames...)
	}
	data := marshal(b, q)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		q, err := Parse(context.Background(), data)
		if err != nil {
			b.Fatal(err)
		}
		for range q.Entries(Traces, Counts, Frames, Executables, Symbols, Hosts, Metrics) {
		}
	}
}
