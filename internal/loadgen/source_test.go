package loadgen

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func all() []otlp.Signal { s := otlp.Signals(); return s[:] }

func newSource(t *testing.T, shape Shape) *Source {
	t.Helper()
	s, err := NewSource(shape)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// take returns a copy of request n.
func take(s *Source, n uint64, now time.Time) []byte {
	l := s.Take(n, now)
	defer l.Return()
	return bytes.Clone(l.Bytes)
}

// few returns a source with few templates, which is faster to create.
func few(t *testing.T, shape Shape, templates int) *Source {
	t.Helper()
	s := &Source{}
	for _, signal := range shape.Signals {
		var pool []*template
		for i := range templates {
			tm, err := newTemplate(shape, signal, i, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			pool = append(pool, tm)
		}
		s.pools = append(s.pools, pool)
	}
	return s
}

// All kinds of requests are valid by Check, by the official module, and by the rules for
// profiles.
func TestRequestsAreValid(t *testing.T) {
	t.Parallel()
	for _, items := range []int{1, 7, 100, 1000} {
		for _, itemBytes := range []int{0, 60, 1500} {
			s := few(t, Shape{Signals: all(), BatchItems: items, ItemBytes: itemBytes, Seed: 3}, min(8, 1+1000/items))
			for n := range uint64(4 * len(s.pools[0])) {
				request := s.Take(n, time.Now())
				name := fmt.Sprintf("%s of %d items of %d bytes", request.Signal, items, itemBytes)
				got, err := otlp.Check(request.Signal, request.Bytes)
				if err != nil || got != items || request.Items != items {
					t.Errorf("%s: Check says %d items, %v; the request %d", name, got, err, request.Items)
				}
				m := testkit.NewMessage(request.Signal)
				if err := proto.Unmarshal(request.Bytes, m); err != nil {
					t.Errorf("%s: the official module says: %v", name, err)
				}
				if request.Signal == otlp.Profiles {
					testkit.CheckProfiles(t, request.Bytes)
				}
				request.Return()
				if t.Failed() {
					return
				}
			}
		}
	}
}

func TestItemsHaveTheSizeAskedFor(t *testing.T) {
	t.Parallel()
	for _, signal := range all() {
		for _, want := range []int{300, 4000} {
			const templates, items = 4, 250
			s := few(t, Shape{Signals: []otlp.Signal{signal}, BatchItems: items, ItemBytes: want, Seed: 1}, templates)
			total := 0
			for n := range uint64(templates) {
				total += len(take(s, n, time.Now()))
			}
			got := float64(total) / templates / items
			low := 0.95
			if want == 300 { // a point of a histogram has 500, and is not cut
				low = 0.8
			}
			if got < low*float64(want) || got > 1.25*float64(want) {
				t.Errorf("%s: an item of %d bytes has %.0f", signal, want, got)
			}
		}
	}
}

// Equal seeds give equal sequences of requests, different seeds different ones.
func TestRequestsAreDeterministic(t *testing.T) {
	t.Parallel()
	shape := Shape{Signals: all(), BatchItems: 20, Seed: 42, Deterministic: true}
	a, b, fresh := newSource(t, shape), newSource(t, shape), newSource(t, shape)
	shape.Seed = 43
	other := newSource(t, shape)
	order := []uint64{0, 1, 2, 3, 700, 5, 300, 301, 302, 303, 3, 2, 1, 0}
	for i, n := range order {
		x := take(a, n, time.Now())
		y := take(b, n, time.Now().Add(time.Hour))
		if !bytes.Equal(x, y) {
			t.Errorf("request %d: two sources of one seed differ", n)
		}
		if bytes.Equal(x, take(other, n, time.Now())) {
			t.Errorf("request %d: two seeds give the same", n)
		}
		// Earlier requests have no influence.
		if first := slices.Index(order, n); first < i && !bytes.Equal(x, take(fresh, n, time.Now())) {
			t.Errorf("request %d: it depends on those before", n)
		}
	}
}

// The pool is bounded by number and by size.
func TestPoolIsBounded(t *testing.T) {
	t.Parallel()
	small := newSource(t, Shape{Signals: all(), BatchItems: 10})
	for _, pool := range small.pools {
		if len(pool) != maxTemplates {
			t.Errorf("%d templates of %s, want %d", len(pool), pool[0].signal, maxTemplates)
		}
	}
	large := newSource(t, Shape{Signals: []otlp.Signal{otlp.Logs}, BatchItems: 100, ItemBytes: 10_000})
	if n := len(large.pools[0]); n != maxPoolBytes/len(large.pools[0][0].bytes) || n < 2 || n == maxTemplates {
		t.Errorf("%d templates of %d bytes", n, len(large.pools[0][0].bytes))
	}
	if _, err := NewSource(Shape{Signals: []otlp.Signal{otlp.Logs}, BatchItems: 7000, ItemBytes: 10_000}); err == nil {
		t.Error("no error for a request of 70 MB")
	}
}

// A patched request has new ids and moved times, and is otherwise unchanged.
func TestTakePatches(t *testing.T) {
	t.Parallel()
	for _, signal := range all() {
		s := newSource(t, Shape{Signals: []otlp.Signal{signal}, BatchItems: 50, Seed: 9})
		base := time.Unix(0, int64(s.pools[0][0].nanos))
		before := patchable(t, signal, take(s, 0, base))
		after := patchable(t, signal, take(s, 64, base.Add(time.Minute)))
		if len(before.ids) == 0 || len(before.times) == 0 || before.rest != after.rest {
			t.Errorf("%s: %d ids, %d times; the rest is the same: %t", signal, len(before.ids), len(before.times), before.rest == after.rest)
		}
		renamed := map[string]string{}
		for i := range before.ids {
			x, y := before.ids[i], after.ids[i]
			if x == y || len(x) != len(y) {
				t.Errorf("%s: id %x became %x", signal, x, y)
			}
			if was, ok := renamed[x]; ok && was != y {
				t.Errorf("%s: id %x became both %x and %x", signal, x, was, y)
			}
			renamed[x] = y
		}
		for i := range before.times {
			if moved := after.times[i] - before.times[i]; moved != uint64(time.Minute) {
				t.Errorf("%s: a time moved by %s", signal, time.Duration(moved))
			}
		}
	}
}

// contents are the ids and times of a request, in order, and everything else as text.
type contents struct {
	ids   []string
	times []uint64
	rest  string
}

// patchable finds the ids and times of a request with the official descriptors and the
// names of the fields, unlike the code under test.
func patchable(t *testing.T, s otlp.Signal, request []byte) (c contents) {
	t.Helper()
	m := testkit.NewMessage(s)
	if err := proto.Unmarshal(request, m); err != nil {
		t.Fatal(err)
	}
	c.collect(m.ProtoReflect())
	rest, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	c.rest = string(rest)
	return c
}

// cumulative has the messages with values that grow. Among those of numbers are gauges,
// which do not change.
var cumulative = map[protoreflect.Name]bool{"NumberDataPoint": true, "HistogramDataPoint": true, "SummaryDataPoint": true}

func (c *contents) collect(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		switch fd.Name() {
		case "trace_id", "span_id", "parent_span_id", "profile_id":
			c.ids = append(c.ids, string(m.Get(fd).Bytes()))
			m.Clear(fd)
			continue
		case "time_unix_nano", "observed_time_unix_nano", "end_time_unix_nano":
			c.times = append(c.times, m.Get(fd).Uint())
			m.Clear(fd)
			continue
		case "count", "sum", "bucket_counts", "as_double": // cumulative ones grow
			if cumulative[m.Descriptor().Name()] {
				m.Clear(fd)
				continue
			}
		case "start_time_unix_nano": // of a span, not of a cumulative data point
			if !cumulative[m.Descriptor().Name()] {
				c.times = append(c.times, m.Get(fd).Uint())
				m.Clear(fd)
			}
			continue
		case "timestamps_unix_nano":
			for i := range m.Get(fd).List().Len() {
				c.times = append(c.times, m.Get(fd).List().Get(i).Uint())
			}
			m.Clear(fd)
			continue
		}
		switch {
		case fd.Message() == nil:
		case fd.IsList():
			for i := range m.Get(fd).List().Len() {
				c.collect(m.Get(fd).List().Get(i).Message())
			}
		default:
			c.collect(m.Get(fd).Message())
		}
	}
}

// No two requests of a signal share an id, and no id is invalid.
func TestIDsAreUnique(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		signals []otlp.Signal
		n       uint64
	}{{all(), 2 * 4 * maxTemplates}, {[]otlp.Signal{otlp.Traces}, 10 * maxTemplates}} {
		s := newSource(t, Shape{Signals: test.signals, BatchItems: 3, Seed: 5})
		owner := map[string]uint64{}
		for n := range test.n {
			request := s.Take(n, time.Now())
			for _, id := range patchable(t, request.Signal, request.Bytes).ids {
				id = string(rune(request.Signal)) + id
				if first, ok := owner[id]; ok && first != n {
					t.Fatalf("id %x is in requests %d and %d", id, first, n)
				}
				owner[id] = n
				if strings.Trim(id[1:], "\x00") == "" {
					t.Fatalf("request %d has an id of zeros", n)
				}
			}
			request.Return()
		}
	}
	// The salt of the worst case: equal to the id in all bits that it may change.
	for _, n := range []uint64{0, 1, 1 << 56, math.MaxUint64} {
		if salt(n)>>56 != 0 {
			t.Errorf("salt(%d) = %x reaches the last byte", n, salt(n))
		}
	}
}

// spansOf returns the spans of a request with their resources.
func spansOf(m *coltrace.ExportTraceServiceRequest) (all []spanOf) {
	for _, rs := range m.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, sp := range ss.Spans {
				all = append(all, spanOf{sp, rs.Resource})
			}
		}
	}
	return all
}

type spanOf struct {
	*tracepb.Span
	resource *resourcepb.Resource
}

// Spans still have their parents after patching.
func TestParentsArePatchedWithTheirChildren(t *testing.T) {
	t.Parallel()
	s := newSource(t, Shape{Signals: []otlp.Signal{otlp.Traces}, BatchItems: 100, Seed: 5})
	children := 0
	for _, n := range []uint64{0, 64, 128} {
		var m coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(take(s, n, time.Now()), &m); err != nil {
			t.Fatal(err)
		}
		spans := map[string]string{} // span id to trace id
		for _, sp := range spansOf(&m) {
			spans[string(sp.SpanId)] = string(sp.TraceId)
		}
		for _, sp := range spansOf(&m) {
			if p := string(sp.ParentSpanId); p != "" {
				children++
				if spans[p] != string(sp.TraceId) {
					t.Errorf("request %d: span %x of trace %x has a parent %x in trace %x", n, sp.SpanId, sp.TraceId, p, spans[p])
				}
			}
		}
	}
	if children == 0 {
		t.Error("no span has a parent")
	}
}

// A request in use does not change when its template is taken again: the second request is
// a copy, with the bytes that the template would have had.
func TestTakeWhileInUse(t *testing.T) {
	t.Parallel()
	shape := Shape{Signals: []otlp.Signal{otlp.Traces}, BatchItems: 10, Seed: 1, Deterministic: true}
	s, fresh := newSource(t, shape), newSource(t, shape)
	slow := s.Take(1, time.Now())
	want := bytes.Clone(slow.Bytes)
	second := s.Take(1+maxTemplates, time.Now())
	if !bytes.Equal(second.Bytes, take(fresh, 1+maxTemplates, time.Now())) {
		t.Error("the copy is not what the template would have been")
	}
	if second.home != nil || &second.Bytes[0] == &slow.Bytes[0] {
		t.Error("the second request shares the bytes of the first")
	}
	second.Return()
	if !bytes.Equal(slow.Bytes, want) {
		t.Error("the bytes of the first request have changed")
	}
	slow.Return()
	if again := s.Take(1+maxTemplates, time.Now()); again.home == nil || !bytes.Equal(again.Bytes, take(fresh, 1+maxTemplates, time.Now())) {
		t.Error("after Return the template is not used again, or has wrong bytes")
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	s := newSource(t, Shape{Signals: all(), BatchItems: 100})
	n := uint64(0)
	if got := testing.AllocsPerRun(200, func() {
		s.Take(n, time.Now()).Return()
		n++
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkTake(b *testing.B) {
	for _, signal := range all() {
		b.Run(signal.String(), func(b *testing.B) {
			s, err := NewSource(Shape{Signals: []otlp.Signal{signal}, BatchItems: 1000})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(s.pools[0][0].bytes)))
			n := uint64(0)
			for b.Loop() {
				s.Take(n, time.Now()).Return()
				n++
			}
		})
	}
}
