package otlp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// Groups finds resource and scope at any position: after what they describe, split
// in two, or absent.
func TestGroupsOfOddShapes(t *testing.T) {
	service := msg(1, msg(1, []byte("service.name")), msg(2, msg(1, []byte("a"))))
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"none", nil, ""},
		{"resource without scopes", msg(1, msg(1, service)), "a//0 "},
		{"resource last", msg(1, msg(2, msg(1, msg(1, []byte("s"))), msg(2)), msg(1, service)), "a/s/1 "},
		{"resource split", msg(1, msg(1, varint(2, 1)), msg(2, msg(2), msg(2)), msg(1, service)), "a//2 "},
		{"no resource", msg(1, msg(2, msg(2))), "-//1 "},
		{"two of each", join(msg(1, msg(1, service), msg(2), msg(2)), msg(1, msg(2))), "a//0 +a//0 -//0 "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, s := range Signals() {
				if _, err := Check(s, tt.data); err != nil {
					t.Fatal(err)
				}
				var got strings.Builder
				for g := range Groups(tt.data) {
					if !g.First {
						got.WriteByte('+')
					}
					name := "-"
					if v, ok := Attribute(g.Resource.Attributes(), nil, "service.name"); ok {
						name = string(v.Text())
					}
					fmt.Fprintf(&got, "%s/%s/%d ", name, g.Scope.Name(), g.Items.Len())
				}
				if got.String() != tt.want {
					t.Errorf("%s: got %q, want %q", s, got.String(), tt.want)
				}
			}
		})
	}
}

func TestAttributesResolveThroughTheDictionary(t *testing.T) {
	// key_strindex 1 is "k", string_value_strindex 2 is "v"; in an array too.
	kv := msg(1, varint(3, 1), msg(2, varint(8, 2)))
	arr := msg(1, msg(1, []byte("plain")), msg(2, msg(5, msg(1, varint(8, 1)), msg(1, msg(1, []byte("x"))))))
	data := join(msg(1, msg(1, kv, arr)), msg(2, msg(5), msg(5, []byte("k"))), msg(2, msg(5, []byte("v"))))
	if _, err := Check(Profiles, data); err != nil {
		t.Fatal(err)
	}
	text := func(d *Dictionary) (out string) {
		for g := range Groups(data) {
			for k, v := range Attributes(g.Resource.Attributes(), d) {
				out += string(k) + "=" + string(v.AppendText(nil)) + ";"
			}
		}
		return out
	}
	if got, want := text(DictionaryOf(Profiles, data)), `k=v;plain=["k","x"];`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// For the other signals a reference is treated as absent.
	if got, want := text(DictionaryOf(Traces, data)), `=;plain=[null,"x"];`; got != want {
		t.Errorf("without a dictionary: got %s, want %s", got, want)
	}
}

func TestDictionaryOutOfRange(t *testing.T) {
	d := DictionaryOf(Profiles, msg(2, msg(5), msg(7)))
	if d.String(-1) != nil || d.String(1) != nil || d.Stack(1<<30) != nil || d.Mapping(0) != nil {
		t.Error("an index outside a table is not nil")
	}
	var none *Dictionary
	if none.String(0) != nil {
		t.Error("no dictionary has a string")
	}
}

// A hostile dictionary of empty entries takes memory in proportion to its size.
func TestDictionaryOfEmptyEntries(t *testing.T) {
	const entries = 1 << 20
	data := msg(2, bytes.Repeat([]byte{0x2a, 0}, entries))
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if d := DictionaryOf(Profiles, data); d.String(entries-1) == nil || d.String(entries) != nil {
				b.Fatal("entries are lost, or made up")
			}
		}
	})
	if got := r.AllocedBytesPerOp(); got > 3*int64(len(data)) {
		t.Errorf("%d bytes for a dictionary of %d", got, len(data))
	}
}

// The concatenation of two requests has the items of both, for the signals with
// Concatenable in the table. For profiles it has not: the references of the second
// are resolved in the dictionary of the first.
func TestConcatenable(t *testing.T) {
	request := func(s Signal, name string) []byte {
		if !s.Spec().HasDictionary {
			return msg(1, msg(1, msg(1, msg(1, []byte(name)))))
		}
		return join(msg(1, msg(1, msg(1, varint(3, 1)))), msg(2, msg(5), msg(5, []byte(name))))
	}
	for _, s := range Signals() {
		both := join(request(s, "a"), request(s, "b"))
		if _, err := Check(s, both); err != nil {
			t.Fatal(err)
		}
		d := DictionaryOf(s, both)
		var names string
		for g := range Groups(both) {
			for kv := range g.Resource.Attributes().All() {
				names += string(kv.Name(d))
			}
		}
		if same := names == "ab"; same != s.Spec().Concatenable {
			t.Errorf("%s: concatenable is %v, but the two together say %q", s, s.Spec().Concatenable, names)
		}
	}
}

func TestPartialSuccessRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		rejected int64
		message  string
	}{{0, ""}, {3, ""}, {0, "a warning"}, {1 << 40, strings.Repeat("x", 300)}} {
		b := AppendPartialSuccess(nil, tt.rejected, tt.message)
		n, m, err := ParsePartialSuccess(b)
		if n != tt.rejected || string(m) != tt.message || err != nil {
			t.Errorf("%v: got %d %q %v", tt, n, m, err)
		}
	}
	if b := AppendPartialSuccess(nil, 0, ""); len(b) != 0 {
		t.Errorf("full success is %x, want nothing", b)
	}
}

// AppendPartialSuccess writes valid responses of all four signals.
func TestPartialSuccessIsTheSameForAllSignals(t *testing.T) {
	for s, d := range newOracle(t) {
		pkg := d.ParentFile()
		for i := range pkg.Messages().Len() {
			m := pkg.Messages().Get(i)
			switch {
			case strings.HasSuffix(string(m.Name()), "Response"):
				if f := m.Fields().ByNumber(1); m.Fields().Len() != 1 || f.Name() != "partial_success" {
					t.Errorf("%s: %s is not {partial_success = 1}", s, m.Name())
				}
			case strings.HasSuffix(string(m.Name()), "PartialSuccess"):
				if m.Fields().ByNumber(1).Kind().String() != "int64" || m.Fields().ByNumber(2).Name() != "error_message" {
					t.Errorf("%s: %s is not {int64 rejected = 1, error_message = 2}", s, m.Name())
				}
			}
		}
	}
}

// The services and methods of the table are those of the protocol.
func TestSpecsNameTheOfficialServices(t *testing.T) {
	for s, d := range newOracle(t) {
		svc := d.ParentFile().Services().Get(0)
		if got := string(svc.FullName()); got != s.Spec().Service {
			t.Errorf("%s: service %s, the official one is %s", s, s.Spec().Service, got)
		}
		if m := svc.Methods().Get(0); "/"+string(svc.FullName())+"/"+string(m.Name()) != s.Spec().Method {
			t.Errorf("%s: method %s", s, s.Spec().Method)
		}
	}
}

func TestTextOfValues(t *testing.T) {
	var got []string
	for g := range Groups(logsRequest()) {
		for r := range g.Items.All() {
			got = append(got, string(LogRecord(r).Body().Resolve(nil).AppendText(nil)))
		}
	}
	want := []string{"started \xff not UTF-8", "false", "-9223372036854775808", "-0", "AP8=", `[{"inner":"value"}]`}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Any response is read without a panic, and the result can be written and read
// again.
func FuzzParsePartialSuccess(f *testing.F) {
	f.Add(AppendPartialSuccess(nil, 3, "three were bad"))
	f.Add([]byte{0x0a, 0x02, 0x08, 0x80})
	f.Fuzz(func(t *testing.T, response []byte) {
		n, m, err := ParsePartialSuccess(response)
		if err != nil {
			return
		}
		n2, m2, err := ParsePartialSuccess(AppendPartialSuccess(nil, n, string(m)))
		if n2 != n || string(m2) != string(m) || err != nil {
			t.Fatalf("%d %q became %d %q, %v", n, m, n2, m2, err)
		}
	})
}

// Views over bytes that were not checked end without a panic.
func FuzzViewsOverUncheckedBytes(f *testing.F) {
	for _, data := range seeds(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := DictionaryOf(Profiles, data)
		for g := range Groups(data) {
			for _, v := range Attributes(g.Resource.Attributes(), d) {
				v.AppendText(nil)
			}
			for item := range g.Items.All() {
				Span(item).Decode()
				m := Metric(item).Decode()
				for p := range Gauge(m.Data.Bytes).DataPoints().All() {
					p.Decode()
				}
				for p := range ExponentialHistogram(m.Data.Bytes).DataPoints().All() {
					for range p.Positive().BucketCounts().All() {
					}
				}
				LogRecord(item).Body().Resolve(d).AppendText(nil)
				for p := range Profile(item).Samples().All() {
					for i := range d.Stack(p.StackIndex()).LocationIndices().All() {
						d.Location(i).Decode()
					}
				}
			}
		}
	})
}
