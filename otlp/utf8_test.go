package otlp

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

func newRequest(s Signal) proto.Message {
	return map[Signal]proto.Message{
		Traces: &coltraces.ExportTraceServiceRequest{}, Metrics: &colmetrics.ExportMetricsServiceRequest{},
		Logs: &collogs.ExportLogsServiceRequest{}, Profiles: &colprofiles.ExportProfilesServiceRequest{},
	}[s]
}

// eachText calls f with every string in b, a message m, and its offset in b. It is
// recursive and has no fast paths.
func eachText(m uint8, b []byte, at int, f func(at int, text []byte)) {
	for c := (wire.Cursor{Buf: b}); c.Next(); {
		e, start := fieldEntry(m, &c), at+c.End-len(c.Bytes)
		switch {
		case e.op == opBytes && e.arg == isText:
			f(start, c.Bytes)
		case e.op >= opMessage:
			eachText(e.arg, c.Bytes, start, f)
		}
	}
}

func fieldEntry(m uint8, c *wire.Cursor) tagEntry {
	if tag := c.Tag(); tag < 256 {
		return tables[m][tag]
	}
	return tagEntry{}
}

// repairSlowly is RepairUTF8 with recursion and strings.ToValidUTF8.
func repairSlowly(m uint8, b []byte) (out []byte) {
	for c := (wire.Cursor{Buf: b}); c.Next(); {
		e, v := fieldEntry(m, &c), c.Bytes
		switch {
		case e.op == opBytes && e.arg == isText:
			v = bytes.ToValidUTF8(v, []byte("\uFFFD"))
		case e.op >= opMessage:
			v = repairSlowly(e.arg, v)
		}
		if c.Type != wire.TypeBytes || bytes.Equal(v, c.Bytes) {
			out = append(out, b[c.Start:c.End]...)
			continue
		}
		_, _, tagEnd, _ := wire.Tag(b, c.Start)
		out = append(out, b[c.Start:tagEnd]...)
		out = append(wire.AppendBytes(out, 1, v)[:len(out)], wire.AppendBytes(nil, 1, v)[1:]...)
	}
	return out
}

// judgeUTF8 compares FirstInvalidUTF8 and RepairUTF8 of a request with the official
// module and repairSlowly. It reports whether all strings are valid UTF-8.
func (o oracle) judgeUTF8(t *testing.T, s Signal, request []byte) (valid bool) {
	t.Helper()
	before := bytes.Clone(request)
	err := FirstInvalidUTF8(s, request)
	prefix := []byte("prefix")
	out := RepairUTF8(prefix, s, request)
	if !bytes.HasPrefix(out, prefix) || !bytes.Equal(before, request) {
		t.Fatal("what was there was written to")
	}
	out = out[len(prefix):]
	if _, checkErr := Check(s, request); checkErr != nil {
		return err == nil // no promise but that nothing panics
	}
	if official := proto.Unmarshal(request, newRequest(s)); (official == nil) != (err == nil) {
		t.Fatalf("FirstInvalidUTF8 says %v, the official module %v", err, official)
	}
	if err == nil {
		if !bytes.Equal(out, request) {
			t.Fatalf("a valid request changed:\n%x\n%x", request, out)
		}
		return true
	}
	var place *CheckError
	if !errors.As(err, &place) || place.Signal != s {
		t.Fatalf("the error is %#v", err)
	}
	first := -1
	eachText(roots[s], request, 0, func(at int, text []byte) {
		if first < 0 && !utf8.Valid(text) {
			first = at
		}
	})
	if _, typ, next, err := wire.Tag(request, place.Offset); err != nil || typ != wire.TypeBytes {
		t.Fatalf("no field at %d: %v", place.Offset, err)
	} else if start, _, err := wire.Length(request, next); err != nil || start != first {
		t.Fatalf("the string at %d is named, that at %d is the first", start, first)
	}

	if err := FirstInvalidUTF8(s, out); err != nil {
		t.Fatalf("after the repair: %v", err)
	}
	if err := proto.Unmarshal(out, newRequest(s)); err != nil {
		t.Fatalf("after the repair: the official module says %v", err)
	}
	if want := repairSlowly(roots[s], request); !bytes.Equal(out, want) {
		t.Fatalf("repaired:\n%x\nwant\n%x", out, want)
	}
	a, b := dynamicpb.NewMessage(o[s]), dynamicpb.NewMessage(o[s])
	if err := errors.Join(proto.Unmarshal(request, a), proto.Unmarshal(out, b)); err != nil || countItems(a) != countItems(b) {
		t.Fatalf("after the repair %d items are %d: %v", countItems(a), countItems(b), err)
	}
	return false
}

// spoilt returns a generated request in which the strings have other texts of the
// same lengths, half of them valid UTF-8 or nearly so.
func spoilt(s Signal, seed uint64) []byte {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 2))}
	request := g.request(s)
	pieces := []string{"plain", "ü", "日本", "\U0001F600", "\xff", "\xc3", "\xed\xa0\x80", "\xf0\x9f\x98", "\x00", "\xc0\x80"}
	if seed%3 == 0 {
		pieces = pieces[:4]
	}
	eachText(roots[s], request, 0, func(_ int, text []byte) {
		var v []byte
		for len(v) < len(text) {
			v = append(v, pieces[g.rng.IntN(len(pieces))]...)
		}
		if v = v[:len(text)]; seed%3 == 0 && !utf8.Valid(v) { // cut inside a rune
			v = bytes.Repeat([]byte{'x'}, len(text))
		}
		if !g.one(4) {
			copy(text, v)
		}
	})
	return request
}

func TestUTF8Generated(t *testing.T) {
	o := newOracle(t)
	valid, invalid := 0, 0
	for seed := range uint64(1000) {
		for _, s := range Signals() {
			if o.judgeUTF8(t, s, spoilt(s, seed)) {
				valid++
			} else {
				invalid++
			}
		}
	}
	if valid < 1000 || invalid < 1000 {
		t.Errorf("%d valid requests and %d others: the generator has lost its balance", valid, invalid)
	}
}

func FuzzUTF8Generated(f *testing.F) {
	f.Add(uint64(1))
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, seed uint64) {
		for _, s := range Signals() {
			o.judgeUTF8(t, s, spoilt(s, seed))
		}
	})
}

func FuzzUTF8(f *testing.F) {
	for seed := range uint64(4) {
		for _, s := range Signals() {
			f.Add(uint8(s), spoilt(s, seed))
		}
	}
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, signal uint8, request []byte) {
		o.judgeUTF8(t, Signals()[signal%4], request)
	})
}

func TestFirstInvalidUTF8SaysWhere(t *testing.T) {
	var e Encoder
	req := AppendExportLogsServiceRequest(&e)
	rl := req.AddResourceLogs()
	sl := rl.AddScopeLogs()
	record := sl.AddLogRecords()
	record.SetSeverityText("fine")
	body := record.SetBody()
	at := len(e.Buf)
	body.SetStringValue("caf\xe9")
	body.Close()
	record.Close()
	sl.Close()
	rl.Close()
	req.Close()
	err := FirstInvalidUTF8(Logs, e.Buf)
	// The four lengths around the string take one byte each, as assumed for at.
	want := fmt.Sprintf("logs request, byte %d, ResourceLogs.ScopeLogs.LogRecord.AnyValue.string_value: string is not valid UTF-8: byte 3 of 4 is 0xe9", at)
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if got := RepairUTF8(nil, Logs, e.Buf); !bytes.Contains(got, []byte("caf\uFFFD")) {
		t.Errorf("%q", got)
	}
	if err := FirstInvalidUTF8(0, nil); err == nil {
		t.Error("no signal, no error")
	}
}

// nested returns a string within n nested values.
func nested(n int, text string) []byte {
	const arrayValue, values, value = 5, 1, 2
	v := wire.AppendBytes(nil, 1, text)
	for range n - 1 {
		v = wire.AppendBytes(nil, arrayValue, wire.AppendBytes(nil, values, v))
	}
	for _, num := range []uint32{value, 1, 1, 1} { // KeyValue, Resource, ResourceSpans, the request
		v = wire.AppendBytes(nil, num, v)
	}
	return v
}

// Lengths whose own size grows with the repair, at the maximum depth.
func TestRepairUTF8Lengths(t *testing.T) {
	o := newOracle(t)
	for _, n := range []int{0, 1, 2, 60, 61, 62, 63, 64, 120, 124, 125, 126, 127, 128, 8190, 16100, 16380, 16383, 16384} {
		for _, depth := range []int{1, 2, DefaultDepth / 2} {
			for _, bad := range []string{"\xff", "\xff\xff\xff\xff\xff\xff\xff", "a\xffa\xff"} {
				request := nested(depth, strings.Repeat("x", n)+bad)
				if _, err := Check(Traces, request); err != nil {
					t.Fatal(err)
				}
				o.judgeUTF8(t, Traces, request)
			}
		}
	}
}

// textless has exactly the messages that cannot contain strings.
func TestTextless(t *testing.T) {
	text := [numMessages]bool{}
	for range numMessages {
		for m := range tables {
			for _, e := range tables[m] {
				text[m] = text[m] || e.op == opBytes && e.arg == isText || e.op >= opMessage && text[e.arg]
			}
		}
	}
	for m, has := range text {
		if listed := textless>>m&1 == 1; listed == has {
			t.Errorf("%s: listed as textless: %v, has a way to a string: %v", messageNames[m], listed, has)
		}
	}
}

func TestUTF8DoesNotAllocate(t *testing.T) {
	request := spansRequest(10)
	if n := testing.AllocsPerRun(10, func() {
		if err := FirstInvalidUTF8(Traces, request); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("FirstInvalidUTF8 allocates %v times", n)
	}
	room := make([]byte, 0, len(request))
	if n := testing.AllocsPerRun(10, func() { RepairUTF8(room, Traces, request) }); n != 0 {
		t.Errorf("RepairUTF8 of a valid request allocates %v times", n)
	}
}

func BenchmarkFirstInvalidUTF8(b *testing.B) {
	req := spansRequest(1000)
	b.SetBytes(int64(len(req)))
	b.ReportAllocs()
	for b.Loop() {
		if err := FirstInvalidUTF8(Traces, req); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/span")
}

func BenchmarkRepairUTF8(b *testing.B) {
	req := bytes.ReplaceAll(spansRequest(1000), []byte("Mozilla"), []byte("Mozill\xe4"))
	b.SetBytes(int64(len(req)))
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		out = RepairUTF8(out[:0], Traces, req)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/span")
}
