package otlpedit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// randomPlans are up to four plans.
func randomPlans(rng *rand.Rand, s otlp.Signal) (all []random) {
	for range 1 + rng.IntN(4) {
		r := random{edits: otlpedit.Levels(1 + rng.IntN(7)), seed: rng.Uint64(), signal: s}
		r.drops = r.edits & otlpedit.Levels(rng.IntN(8))
		if rng.IntN(2) == 0 {
			r.reads = otlpedit.Levels(rng.IntN(4))
		}
		all = append(all, r)
	}
	return all
}

// verify holds one pass with all plans to the reference, which applies one after
// the other. It returns what the pass did.
func verify(t testing.TB, plans []random, request []byte) otlpedit.Verdict {
	t.Helper()
	s := plans[0].signal
	items := count(t, s, request)
	before := bytes.Clone(request)
	var passed []otlpedit.Plan
	for _, r := range plans {
		passed = append(passed, r.plan())
	}
	p := otlpedit.NewPass(passed...)
	verdict, got, err := p.Run(s, request, items, otlpedit.Heap{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, request) {
		t.Fatal("the request was written to")
	}
	want, left := request, items
	for i, r := range plans {
		if want != nil {
			if want = r.reference(t, want); want != nil {
				left = count(t, s, want)
			} else {
				left = 0
			}
		}
		if n := p.Items(i); n != left {
			t.Fatalf("plan %d passed on %d items, want %d", i, n, left)
		}
	}
	switch {
	case want == nil:
		if verdict != otlpedit.Drop || got != nil {
			t.Fatalf("verdict %d, but nothing should be left", verdict)
		}
	case verdict == otlpedit.Keep:
		if !bytes.Equal(want, request) {
			t.Fatal("nothing was changed")
		}
	case verdict != otlpedit.Replace || !bytes.Equal(got, want):
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Fatalf("verdict %d: %d bytes, want %d; they differ from byte %d on", verdict, len(got), len(want), at)
	default:
		if n := count(t, s, got); n != p.Items(len(plans)-1) {
			t.Fatalf("the result has %d items, the pass says %d", n, p.Items(len(plans)-1))
		}
	}
	return verdict
}

// One pass does to the byte what the plainest implementation does in one pass for
// each plan.
func TestPassEqualsOneReferencePassForEachPlan(t *testing.T) {
	for _, s := range otlp.Signals() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(7, uint64(s)))
			var verdicts [otlpedit.Drop + 1]int
			fused, apart := 0, 0
			for range 600 {
				plans := randomPlans(rng, s)
				var all []otlpedit.Plan
				for _, r := range plans {
					all = append(all, r.plan())
				}
				if !otlpedit.Fusable(all...) {
					apart++
					plans = plans[:1]
				} else if len(plans) > 1 {
					fused++
				}
				verdicts[verify(t, plans, testkit.Request(rng, s, rng.IntN(12)))]++
			}
			t.Logf("kept, replaced, dropped: %d; %d of several plans; %d were not fusable", verdicts, fused, apart)
			if min(verdicts[otlpedit.Keep], verdicts[otlpedit.Replace], verdicts[otlpedit.Drop], fused, apart) < 5 {
				t.Error("some cases are hardly tested")
			}
		})
	}
}

// Whatever passes Check is edited as the reference does it, and passes Check
// again with the items that the pass counted.
func FuzzPass(f *testing.F) {
	for _, s := range otlp.Signals() {
		rng := rand.New(rand.NewPCG(9, uint64(s)))
		for i := range uint64(4) {
			f.Add(byte(s), i, testkit.Request(rng, s, 5))
		}
	}
	f.Fuzz(func(t *testing.T, signal byte, seed uint64, request []byte) {
		s := otlp.Signal(signal)
		if _, err := otlp.Check(s, request); err != nil {
			return
		}
		plans := randomPlans(rand.New(rand.NewPCG(seed, 1)), s)
		for len(plans) > 1 {
			var all []otlpedit.Plan
			for _, r := range plans {
				all = append(all, r.plan())
			}
			if otlpedit.Fusable(all...) {
				break
			}
			plans = plans[:len(plans)-1]
		}
		verify(t, plans, request)
	})
}

func TestFusable(t *testing.T) {
	const r, s, i = otlpedit.Resources, otlpedit.Scopes, otlpedit.Items
	p := func(edits, drops, reads otlpedit.Levels) otlpedit.Plan {
		return otlpedit.Plan{Edits: edits, Drops: drops, Reads: reads}
	}
	for _, tt := range []struct {
		name  string
		plans []otlpedit.Plan
		want  bool
	}{
		{"none", nil, true},
		{"resources, resources", []otlpedit.Plan{p(r, 0, 0), p(r, r, 0)}, true},
		{"resources, items that read them", []otlpedit.Plan{p(r, r, 0), p(i, i, r)}, true},
		{"items, resources", []otlpedit.Plan{p(i, i, 0), p(r, 0, 0)}, true},
		{"items that read resources, resources", []otlpedit.Plan{p(i, 0, r), p(r, 0, 0)}, false},
		{"items that read resources, scopes", []otlpedit.Plan{p(i, 0, r), p(s, s, 0)}, false},
		{"items, dropped resources", []otlpedit.Plan{p(i, 0, 0), p(r, r, 0)}, false},
		{"items, dropped scopes", []otlpedit.Plan{p(i, 0, 0), p(r|s, s, 0)}, false},
		{"scopes, dropped scopes", []otlpedit.Plan{p(s, 0, 0), p(s, s, 0)}, true},
		{"all, items", []otlpedit.Plan{p(r|s|i, r|s|i, r|s), p(i, i, r|s)}, true},
		{"all, all", []otlpedit.Plan{p(r|s|i, 0, r), p(r|s|i, 0, r)}, false},
		{"apart", []otlpedit.Plan{p(i, 0, r), p(i, 0, 0), p(r, 0, 0)}, false},
	} {
		if got := otlpedit.Fusable(tt.plans...); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// editorFunc is an otlpedit.Editor that keeps nothing.
type editorFunc func(p *otlpedit.Pass, l otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error)

func (f editorFunc) End() {}
func (f editorFunc) Edit(p *otlpedit.Pass, l otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	return f(p, l, m, w)
}

func planOf(edits, drops otlpedit.Levels, f editorFunc) otlpedit.Plan {
	return otlpedit.Plan{Edits: edits, Drops: drops, New: func() otlpedit.Editor { return f }}
}

// logs is a request with a resource, a scope and n records in each of groups
// resources.
func logs(groups, n int) []byte {
	var e otlp.Encoder
	for g := range groups {
		rl := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
		rl.SetSchemaURL(fmt.Sprint("https://example.test/", g))
		r := rl.SetResource()
		r.SetDroppedAttributesCount(uint32(g + 1))
		r.Close()
		sl := rl.AddScopeLogs()
		sc := sl.SetScope()
		sc.SetName("scope")
		sc.Close()
		for i := range n {
			record := sl.AddLogRecords()
			record.SetSeverityText(strings.Repeat("x", 300))
			record.SetSeverityNumber(otlp.SeverityNumber(i % 20))
			record.Close()
		}
		sl.Close()
		rl.Close()
	}
	return e.Buf
}

// What nothing is asked of is not looked at, and what is not changed is not
// copied.
func TestPassLooksNoDeeperThanItMust(t *testing.T) {
	for _, level := range []otlpedit.Levels{otlpedit.Resources, otlpedit.Scopes, otlpedit.Items, otlpedit.Resources | otlpedit.Items} {
		var seen otlpedit.Levels
		p := otlpedit.NewPass(planOf(level, 0, func(_ *otlpedit.Pass, l otlpedit.Levels, _ []byte, _ *otlpedit.Writer) (otlpedit.Verdict, error) {
			seen |= l
			return otlpedit.Keep, nil
		}))
		v, out, err := p.Run(otlp.Logs, logs(2, 3), 6, failing{})
		if v != otlpedit.Keep || out != nil || err != nil || seen != level {
			t.Errorf("verdict %d, %v; levels seen %03b, want %03b", v, err, seen, level)
		}
	}
}

// failing is memory that there is none of.
type failing struct{}

var errNoMemory = errors.New("no memory")

func (failing) Grow([]byte, int) ([]byte, error) { return nil, errNoMemory }

func (failing) Err() error        { return nil }
func (failing) Reserve(int) error { return errNoMemory }

// rationed is memory for a number of calls, of exactly the requested size.
type rationed struct{ calls *int }

func (rationed) Err() error        { return nil }
func (rationed) Reserve(int) error { return nil }

func (r rationed) Grow(b []byte, n int) ([]byte, error) {
	if *r.calls--; *r.calls < 0 {
		return nil, errNoMemory
	}
	return append(make([]byte, 0, len(b)+n), b...), nil
}

func TestErrorsEndThePass(t *testing.T) {
	grow := planOf(otlpedit.Resources|otlpedit.Scopes|otlpedit.Items, 0, func(_ *otlpedit.Pass, _ otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
		w.Raw(m)
		w.Bytes(1000, make([]byte, 5000))
		return otlpedit.Replace, nil
	})
	p := otlpedit.NewPass(grow)
	request := logs(3, 3)
	for calls := range 1000 {
		left := calls
		v, out, err := p.Run(otlp.Logs, request, 9, rationed{&left})
		if err == nil {
			if calls < 5 || v != otlpedit.Replace || count(t, otlp.Logs, out) != 9 {
				t.Errorf("verdict %d of %d bytes with %d pieces of memory", v, len(out), calls)
			}
			break
		}
		if !errors.Is(err, errNoMemory) || out != nil {
			t.Fatalf("got %v", err)
		}
	}
	boom := errors.New("boom")
	for _, level := range []otlpedit.Levels{otlpedit.Resources, otlpedit.Scopes, otlpedit.Items} {
		p := otlpedit.NewPass(planOf(level, 0, func(*otlpedit.Pass, otlpedit.Levels, []byte, *otlpedit.Writer) (otlpedit.Verdict, error) {
			return otlpedit.Replace, boom
		}))
		if _, _, err := p.Run(otlp.Logs, request, 9, otlpedit.Heap{}); err != boom {
			t.Errorf("got %v", err)
		}
	}
}

func TestGrowthIsBoundedForEachPlan(t *testing.T) {
	piece := make([]byte, 16<<10)
	grow := planOf(otlpedit.Resources, 0, func(_ *otlpedit.Pass, _ otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
		w.Raw(m)
		w.Bytes(1000, piece)
		return otlpedit.Replace, nil
	})
	shrink := planOf(otlpedit.Resources, 0, func(_ *otlpedit.Pass, _ otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
		w.Without(m, 1000)
		return otlpedit.Replace, nil
	})
	schema := planOf(otlpedit.Resources, 0, func(p *otlpedit.Pass, _ otlpedit.Levels, _ []byte, _ *otlpedit.Writer) (otlpedit.Verdict, error) {
		p.SetSchemaURL(piece)
		return otlpedit.Keep, nil
	})
	empty := bytes.Repeat([]byte{otlpfield.RequestResources<<3 | byte(wire.TypeBytes), 0}, 65)
	var growth *otlpedit.GrowthError
	for _, tt := range []struct {
		resources int
		plans     []otlpedit.Plan
		ok        bool
	}{
		{65, []otlpedit.Plan{grow}, false},
		{64, []otlpedit.Plan{grow, shrink}, true},
		{65, []otlpedit.Plan{grow, shrink}, false},
		{65, []otlpedit.Plan{schema}, false},
		{64, []otlpedit.Plan{schema}, true},
	} {
		_, _, err := otlpedit.NewPass(tt.plans...).Run(otlp.Logs, empty[:2*tt.resources], 0, otlpedit.Heap{})
		if tt.ok != (err == nil) || !tt.ok && !errors.As(err, &growth) {
			t.Errorf("%d resources, %d plans: %v", tt.resources, len(tt.plans), err)
		}
	}
	if growth.RequestBytes != 130 || !strings.Contains(growth.Error(), "1050656 bytes larger") {
		t.Errorf("%v", growth)
	}
}

func TestDropOfALevelThatIsNotAmongDropsPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_, _, _ = otlpedit.NewPass(planOf(otlpedit.Items, 0, func(*otlpedit.Pass, otlpedit.Levels, []byte, *otlpedit.Writer) (otlpedit.Verdict, error) {
		return otlpedit.Drop, nil
	})).Run(otlp.Logs, logs(1, 1), 1, otlpedit.Heap{})
}

// Editors see the outer messages as they were left, and absent ones as nil.
func TestEditorsReadOuterLevels(t *testing.T) {
	var got []string
	name := planOf(otlpedit.Resources|otlpedit.Scopes, 0, func(p *otlpedit.Pass, l otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
		w.Raw(m)
		w.String(1000, "edited")
		return otlpedit.Replace, nil
	})
	read := planOf(otlpedit.Scopes|otlpedit.Items, 0, func(p *otlpedit.Pass, l otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
		text := fmt.Sprintf("%d: %s", p.Resource().DroppedAttributesCount(), wire.LastBytes(p.Resource(), 1000))
		if l == otlpedit.Items {
			text += fmt.Sprintf(", %s %s", p.Scope().Name(), wire.LastBytes(p.Scope(), 1000))
		}
		got = append(got, text)
		return otlpedit.Keep, nil
	})
	request := logs(2, 1)
	if _, _, err := otlpedit.NewPass(name, read).Run(otlp.Logs, request, 2, otlpedit.Heap{}); err != nil {
		t.Fatal(err)
	}
	if text, want := strings.Join(got, "; "), "1: edited; 1: edited, scope edited; 2: edited; 2: edited, scope edited"; text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	got = nil
	if _, _, err := otlpedit.NewPass(read).Run(otlp.Logs, request, 2, otlpedit.Heap{}); err != nil {
		t.Fatal(err)
	}
	if text, want := strings.Join(got, "; "), "1: ; 1: , scope ; 2: ; 2: , scope "; text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	absent := 0
	_, _, err := otlpedit.NewPass(planOf(otlpedit.Resources|otlpedit.Scopes, 0, func(_ *otlpedit.Pass, _ otlpedit.Levels, m []byte, _ *otlpedit.Writer) (otlpedit.Verdict, error) {
		if m == nil {
			absent++
		}
		return otlpedit.Keep, nil
	})).Run(otlp.Logs, []byte{0x0a, 0x02, 0x12, 0x00}, 0, otlpedit.Heap{})
	if err != nil || absent != 2 {
		t.Errorf("%d messages are absent, want 2; %v", absent, err)
	}
}

func TestKeysThroughTheDictionary(t *testing.T) {
	for s, want := range map[otlp.Signal]string{otlp.Profiles: "service.name host.ip  inline", otlp.Traces: "   inline"} {
		var keys []string
		p := otlpedit.NewPass(planOf(otlpedit.Resources, 0, func(p *otlpedit.Pass, _ otlpedit.Levels, m []byte, _ *otlpedit.Writer) (otlpedit.Verdict, error) {
			for kv := range otlp.Resource(m).Attributes().All() {
				if string(p.Key(kv)) != string(p.KeyOf(kv.Decode())) {
					t.Error("Key and KeyOf differ")
				}
				keys = append(keys, string(p.Key(kv)))
			}
			if got := string(p.String(2)); p.Signal().Spec().HasDictionary != (got == "cart") {
				t.Errorf("string 2 is %q", got)
			}
			return otlpedit.Keep, nil
		}))
		if _, _, err := p.Run(s, otlpedit.Profiles(), 0, otlpedit.Heap{}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("%s: got %q, want %q", s, got, want)
		}
	}
}

func TestAllocationsDoNotFollowTheItems(t *testing.T) {
	plans := []otlpedit.Plan{
		planOf(otlpedit.Items, 0, func(_ *otlpedit.Pass, _ otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
			if w.Each(m, otlpfield.LogRecordSeverityText, func([]byte) otlpedit.Verdict { w.Raw([]byte("info")); return otlpedit.Replace }) {
				return otlpedit.Replace, nil
			}
			return otlpedit.Keep, nil
		}),
		planOf(otlpedit.Items, otlpedit.Items, func(_ *otlpedit.Pass, _ otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
			if otlp.LogRecord(m).SeverityNumber() == 3 {
				return otlpedit.Drop, nil
			}
			return otlpedit.Keep, nil
		}),
	}
	p := otlpedit.NewPass(plans...)
	for _, n := range []int{10, 1000} {
		request := logs(1, n)
		room := make([]byte, 0, 2*len(request))
		mem := otlpedit.Memory(fixed{room})
		if a := testing.AllocsPerRun(20, func() {
			if v, _, err := p.Run(otlp.Logs, request, n, mem); v != otlpedit.Replace || err != nil {
				t.Error(v, err)
			}
		}); a > 0 {
			t.Errorf("%v allocations for %d items", a, n)
		}
	}
}

// fixed is memory of one size.
type fixed struct{ b []byte }

func (fixed) Err() error        { return nil }
func (fixed) Reserve(int) error { return nil }

func (f fixed) Grow(b []byte, n int) ([]byte, error) {
	if b == nil {
		b = f.b[:0]
	}
	if cap(b)-len(b) < n {
		return nil, errNoMemory
	}
	return b, nil
}

// A pass ends soon after its memory says so, wherever it is in the request.
func TestPassEnds(t *testing.T) {
	keep := otlpedit.EditorFunc(func(*otlpedit.Pass, otlpedit.Levels, []byte, *otlpedit.Writer) (otlpedit.Verdict, error) {
		return otlpedit.Keep, nil
	})
	for name, request := range map[string][]byte{
		"resources": bytes.Repeat([]byte{0x0a, 0}, 300<<10),
		"items":     logs(1, 30_000),
	} {
		p := otlpedit.NewPass(otlpedit.Plan{Edits: otlpedit.Items, New: func() otlpedit.Editor { return keep }})
		if _, _, err := p.Run(otlp.Logs, request, 0, ended{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ended is the memory of a request that has ended.
type ended struct{ otlpedit.Heap }

func (ended) Err() error { return context.Canceled }
