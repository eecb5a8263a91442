package debugexporter

import (
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

// profileOf returns a request with one profile, whose locations 1 to locations have
// function 1 + location % functions.
func profileOf(locations, functions int, add func(otlp.ProfileBuilder)) []byte {
	var e otlp.Encoder
	r := otlp.AppendExportProfilesServiceRequest(&e)
	in(r.SetDictionary(), func(d otlp.ProfilesDictionaryBuilder) {
		for _, s := range append([]string{"", "nanoseconds"}, strings.Split("abcdefghij", "")[:functions]...) {
			d.AddStringTable(s)
		}
		d.AddFunctionTable().Close()
		for i := range functions {
			in(d.AddFunctionTable(), func(f otlp.FunctionBuilder) { f.SetNameStrindex(int32(2 + i)) })
		}
		d.AddLocationTable().Close()
		d.AddStackTable().Close()
		for i := 1; i <= locations; i++ {
			in(d.AddLocationTable(), func(l otlp.LocationBuilder) {
				if functions == 0 {
					l.SetAddress(uint64(i))
					return
				}
				in(l.AddLines(), func(n otlp.LineBuilder) { n.SetFunctionIndex(int32(1 + i%functions)) })
			})
			in(d.AddStackTable(), func(s otlp.StackBuilder) { s.AddLocationIndices(int32(i), 1) })
		}
	})
	in(r.AddResourceProfiles(), func(rp otlp.ResourceProfilesBuilder) {
		in(rp.AddScopeProfiles(), func(sp otlp.ScopeProfilesBuilder) { in(sp.AddProfiles(), add) })
	})
	return e.Buf
}

func addSample(p otlp.ProfileBuilder, stack int, values ...int64) {
	in(p.AddSamples(), func(s otlp.SampleBuilder) {
		s.SetStackIndex(int32(stack))
		s.AddValues(values...)
	})
}

// frames returns the lines of top frames.
func frames(t *testing.T, request []byte) (lines []string) {
	t.Helper()
	for line := range strings.Lines(render(t, otlp.Profiles, Normal, request, maxTextBytes)) {
		if shown, ok := strings.CutPrefix(line, "     -> "); ok {
			lines = append(lines, strings.TrimSpace(shown))
		}
	}
	return lines
}

func TestTopFrames(t *testing.T) {
	for _, c := range []struct {
		name    string
		request []byte
		want    string
	}{
		{"locations of one function are added up", profileOf(8, 2, func(p otlp.ProfileBuilder) {
			for i := range 8 {
				addSample(p, 1+i, int64(1+i))
			}
		}), "55.6% 20 a|44.4% 16 b"},
		{"five of seven, the largest first", profileOf(7, 7, func(p otlp.ProfileBuilder) {
			for i := range 7 {
				addSample(p, 1+i, int64(10*(1+i)), 0)
			}
		}), "25.0% 70 a|21.4% 60 g|17.9% 50 f|14.3% 40 e|10.7% 30 d"},
		{"addresses", profileOf(2, 0, func(p otlp.ProfileBuilder) { addSample(p, 2, 3) }), "100.0% 3 0x2"},
		{"times", profileOf(1, 1, func(p otlp.ProfileBuilder) {
			in(p.SetSampleType(), func(v otlp.ValueTypeBuilder) { v.SetUnitStrindex(1) })
			addSample(p, 1, 1_250_000_000)
		}), "100.0% 1.25s a"},
		{"less than before", profileOf(1, 1, func(p otlp.ProfileBuilder) { addSample(p, 1, -4096) }), "-4096 a"},
		{"no values: how often", profileOf(2, 2, func(p otlp.ProfileBuilder) {
			in(p.AddSamples(), func(s otlp.SampleBuilder) { s.SetStackIndex(1); s.AddTimestampsUnixNano(1, 2, 3) })
			addSample(p, 2)
		}), "75.0% 3 b|25.0% 1 a"},
		{"no stack", profileOf(0, 1, func(p otlp.ProfileBuilder) { addSample(p, 0, 7) }), "100.0% 7 (no stack)"},
		{"no samples", profileOf(1, 1, func(otlp.ProfileBuilder) {}), ""},
	} {
		if got := strings.Join(frames(t, c.request), "|"); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// The table of locations is bounded: what does not fit is in one line. It is empty
// again for the next profile.
func TestTopFramesAreBounded(t *testing.T) {
	const more = 100
	request := profileOf(maxLeaves+more, 0, func(p otlp.ProfileBuilder) {
		for i := range maxLeaves + more {
			addSample(p, 1+i, 1)
		}
	})
	m := &memory{}
	for range 2 {
		got := string(rows[otlp.Profiles].render(t.Context(), Normal, batchOf(t, otlp.Profiles, request), maxTextBytes, m))
		if want := "-> 0.6% 100 in other frames than the first 16384\n"; !strings.HasSuffix(got, want) || strings.Count(got, "\n") != 3+shownFrames+1 {
			t.Errorf("got %d bytes, ending in %q", len(got), got[max(0, len(got)-300):])
		}
	}
	for _, slot := range m.leaves.slots {
		if slot != 0 {
			t.Fatal("a slot is still used")
		}
	}
}

// A stack is read up to its first location only, and its bytes before it are work.
func TestTopFramesReadLittle(t *testing.T) {
	var long []byte
	for range 50_000 {
		long = append(long, 0x78, 0) // an unknown field
	}
	one := func(before, after []byte) []byte {
		var e otlp.Encoder
		r := otlp.AppendExportProfilesServiceRequest(&e)
		in(r.SetDictionary(), func(d otlp.ProfilesDictionaryBuilder) {
			d.AddLocationTable().Close()
			in(d.AddLocationTable(), func(l otlp.LocationBuilder) { l.SetAddress(7) })
			d.AddStackTable().Close()
			in(d.AddStackTable(), func(s otlp.StackBuilder) {
				s.Raw(before)
				s.AddLocationIndices(1)
				s.Raw(after)
			})
		})
		in(r.AddResourceProfiles(), func(rp otlp.ResourceProfilesBuilder) {
			in(rp.AddScopeProfiles(), func(sp otlp.ScopeProfilesBuilder) {
				in(sp.AddProfiles(), func(p otlp.ProfileBuilder) {
					for range 2000 {
						addSample(p, 1, 1)
					}
				})
			})
		})
		return e.Buf
	}
	if got := strings.Join(frames(t, one(nil, long)), "|"); got != "100.0% 2000 0x7" {
		t.Errorf("got %s", got)
	}
	if got := render(t, otlp.Profiles, Normal, one(long, nil), maxTextBytes); !strings.Contains(got, "0 of 1 profiles are complete") {
		t.Errorf("got %d bytes, ending in %q", len(got), got[max(0, len(got)-300):])
	}
}
