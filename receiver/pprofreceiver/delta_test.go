package pprofreceiver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/penstock-telemetry/penstock/reporter"
)

// feed hands an engine profiles as if they had been fetched, one each second.
func feed(t testing.TB, cfg Config, profiles ...*profile.Profile) *rig {
	t.Helper()
	r := newRig(t, cfg)
	r.feed(t, profiles...)
	return r
}

func (r *rig) feed(t testing.TB, profiles ...*profile.Profile) {
	t.Helper()
	for _, p := range profiles {
		if err := r.feedOne(p); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) feedOne(p *profile.Profile) error {
	asked := time.Unix(0, p.TimeNanos)
	n, err := r.deliver(r.targets[0].jobs[0], &answer{p: p, resource: r.targets[0].resource, asked: asked, done: asked.Add(time.Millisecond)})
	r.numbers.Add(int64(n.taken))
	return err
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func heapAt(second int, stacks ...stack) *profile.Profile {
	return makeProfile(heapTypes, noon.Add(time.Duration(second)*time.Second), program, uint64(second), stacks...)
}

func TestCumulativeIsReportedAsDifference(t *testing.T) {
	t.Parallel()
	r := feed(t, one("localhost:1", "heap"),
		heapAt(0, simple("a", 10, 100, 1, 11), simple("b", 5, 50, 0, 0)),
		heapAt(15, simple("b", 5, 50, 2, 22), simple("a", 13, 130, 0, 0)),
		heapAt(30, simple("c", 1, 10, 1, 10), simple("a", 13, 130, 0, 0), simple("b", 6, 60, 2, 22)))
	calls := r.sink.calls()
	if len(calls) != 5 {
		t.Fatalf("%d reports, want what is in use three times, and two differences", len(calls))
	}
	a, b, c := heapAt(0, simple("a", 0, 0, 0, 0)), heapAt(0, simple("b", 0, 0, 0, 0)), heapAt(0, simple("c", 0, 0, 0, 0))
	key := func(typ string, p *profile.Profile) string { return typ + " " + textOf(p.Sample[0]) }
	for i, want := range []totals{
		{key("inuse_objects", a): 1, key("inuse_space", a): 11},
		{key("inuse_objects", b): 2, key("inuse_space", b): 22},
		{key("alloc_objects", a): 3, key("alloc_space", a): 30},
		{key("inuse_objects", b): 2, key("inuse_space", b): 22, key("inuse_objects", c): 1, key("inuse_space", c): 10},
		{key("alloc_objects", b): 1, key("alloc_space", b): 10, key("alloc_objects", c): 1, key("alloc_space", c): 10},
	} {
		sameTotals(t, fmt.Sprintf("report %d", i), calls[i].totals, want)
	}
	if m := calls[2].meta; !m.Start.Equal(noon) || m.Duration != 15*time.Second || calls[2].time != noon.UnixNano() {
		t.Errorf("the first difference is of %s at %s, want the 15s from the first fetch", m.Duration, m.Start)
	}
	if m := calls[4].meta; !m.Start.Equal(noon.Add(15*time.Second)) || m.Duration != 15*time.Second {
		t.Errorf("the second difference is of %s at %s: the windows are not next to each other", m.Duration, m.Start)
	}
	if m := calls[3].meta; !m.Start.Equal(noon.Add(30 * time.Second)) {
		t.Errorf("what is in use is reported for %s, want the time of the fetch", m.Start)
	}
	if n := r.Stats(); n.Restarts != 0 || n.BaselineBytes == 0 {
		t.Errorf("stats %+v, want no restarts and a baseline", n)
	}
}

func TestNothingNewIsNotReported(t *testing.T) {
	t.Parallel()
	p := heapAt(0, simple("a", 10, 100, 0, 0))
	r := feed(t, one("localhost:1", "heap"), p, p, p)
	if calls := r.sink.calls(); len(calls) != 0 {
		t.Errorf("%d reports of a profile in which nothing changed", len(calls))
	}
}

func TestCountFromProcessStart(t *testing.T) {
	t.Parallel()
	cfg := one("localhost:1", "allocs")
	cfg.CountFrom = FromProcessStart
	first, last := heapAt(0, simple("a", 10, 100, 1, 11)), heapAt(15, simple("a", 12, 120, 1, 11))
	r := feed(t, cfg, first, last)
	sameTotals(t, "sum", r.sink.sum(), totalsOf(last, "alloc"))
}

func TestRestartsBeginAnew(t *testing.T) {
	t.Parallel()
	moved, rebuilt := program, program
	moved.Start, rebuilt.BuildID = 0x500000, "other"
	before := []stack{simple("a", 10, 100), simple("b", 1, 1)}
	for name, after := range map[string]*profile.Profile{
		"all stacks have less":  makeProfile(lockTypes, noon, program, 0, simple("a", 9, 200), simple("b", 1, 0)),
		"two stacks are gone":   makeProfile(lockTypes, noon, program, 0, simple("c", 10, 100)),
		"at another address":    makeProfile(lockTypes, noon, moved, 0, simple("a", 11, 100), simple("b", 1, 1)),
		"another build":         makeProfile(lockTypes, noon, rebuilt, 0, simple("a", 11, 100), simple("b", 1, 1)),
		"other types":           makeProfile([]string{"contentions", "alloc_objects"}, noon, program, 0, simple("a", 11, 100), simple("b", 1, 1)),
		"stacks have less time": makeProfile(lockTypes, noon, program, 0, simple("a", 10, 99), simple("b", 1, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after.TimeNanos = noon.Add(15 * time.Second).UnixNano()
			r := feed(t, one("localhost:1", "mutex"), makeProfile(lockTypes, noon, program, 0, before...), after)
			sameTotals(t, "after the restart", r.sink.sum(), totalsOf(after))
			if n := r.Stats().Restarts; n != 1 {
				t.Errorf("%d restarts noticed, want 1", n)
			}
			again := after.Copy()
			again.TimeNanos += int64(15 * time.Second)
			r.feed(t, again)
			sameTotals(t, "after the next fetch", r.sink.sum(), totalsOf(after))
		})
	}
}

// A stack that shrinks or vanishes is not a restart: what was reported once is not
// reported again, for that stack neither, and when it is back.
func TestOneStackThatShrinks(t *testing.T) {
	t.Parallel()
	large := func(values ...int64) stack { return simple("a", values...) }
	at := func(second int, stacks ...stack) *profile.Profile {
		return makeProfile(lockTypes, noon.Add(time.Duration(second)*time.Second), program, 0, stacks...)
	}
	for name, list := range map[string][]*profile.Profile{
		"shrinks":      {at(1, large(999_999, 1), simple("b", 2, 2)), at(2, large(1_000_000, 1), simple("b", 4, 2)), at(3, large(1_000_010, 1), simple("b", 4, 2))},
		"vanishes":     {at(1, simple("b", 2, 2)), at(2, simple("b", 4, 2)), at(3, large(1_000_010, 1), simple("b", 4, 2))},
		"all vanishes": {at(1), at(2), at(3, large(1_000_010, 1), simple("b", 4, 2))},
		"again and again": {at(1, large(1_000_000, 1)), at(2, simple("b", 2, 2)), at(3, large(1_000_003, 1)), at(4, simple("b", 4, 2)),
			at(5, large(1_000_010, 1)), at(6, simple("b", 4, 2)), at(7, large(1_000_010, 1), simple("b", 4, 2))},
		"two, one after the other": {at(1, large(1_000_010, 1)), at(2, simple("b", 2, 2)), at(3, large(1_000_010, 1), simple("b", 4, 2))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := feed(t, one("localhost:1", "mutex"), at(0, large(1_000_000, 1), simple("b", 2, 2)))
			r.feed(t, list...)
			if got := r.sink.sum().total("contentions"); got != 10+2 {
				t.Errorf("%d contentions reported, want 12", got)
			}
			if n := r.Stats(); n.Restarts+n.Switches != 0 {
				t.Errorf("stats %+v, want no restarts", n)
			}
		})
	}
}

// Processes that answer in turn at one address are each compared with themselves.
func TestSeveralProcessesAtOneAddress(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]string{"in turn": "ABABABABABABAB", "in any order": "ABBABAAABBBABB", "three": "ABCCABACBABCCA"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counts := map[rune]int64{'A': 2_000_000, 'B': 30_000, 'C': 400}
			r := newRig(t, one("localhost:1", "mutex"))
			want, seen := int64(0), map[rune]int64{}
			for i, who := range order {
				n := counts[who]
				counts[who] += 100
				r.feed(t, makeProfile(lockTypes, noon.Add(time.Duration(i)*time.Second), program, 0,
					simple("a", n, 0), simple("b", n/2, 0), simple("c", n/4, 0)))
				now := n + n/2 + n/4
				if i > 0 { // the first time a process answers it may have been restarted
					want += now - seen[who]
				}
				seen[who] = now
			}
			if got := r.sink.sum().total("contentions"); got != want {
				t.Errorf("%d contentions reported, want %d", got, want)
			}
			if n := r.Stats(); int(n.Restarts) != len(seen)-1 || n.Switches == 0 {
				t.Errorf("stats %+v, want %d processes taken for restarted, and switches", n, len(seen)-1)
			}
			if !strings.Contains(r.log.String(), "several processes answer as one pprof target") || !strings.Contains(r.log.String(), "a pprof target was restarted") {
				t.Errorf("the log does not say so: %s", r.log)
			}
		})
	}
}

// What a process has made the difference of itself is reported as it comes, however it
// is asked for. What net/http/pprof subtracts of what is in use is not reported: it may
// be below 0.
func TestDifferencesOfTheProcessAreReportedAsTheyCome(t *testing.T) {
	t.Parallel()
	targets := func(yaml string) Config {
		cfg, err := decode(t, yaml)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	delta := func(second int) *profile.Profile { return heapAt(second, simple("a", 40, 400, -7, -70)) }
	for name, c := range map[string]struct {
		cfg   Config
		jobs  int
		inUse int64
	}{
		"godeltaprof's URL":  {targets(`targets: ["http://localhost:1/debug/pprof/delta_heap"]`), 1, -3 * 7},
		"godeltaprof's path": {targets(`{targets: [localhost:1], profiles: {cpu: false, goroutine: false, mutex: false, block: false, allocs: false, heap: {path: delta_heap}}}`), 1, -3 * 7},
		"one path for both":  {targets(`{targets: [localhost:1], profiles: {cpu: false, goroutine: false, mutex: false, block: false, allocs: {path: delta_heap}, heap: {path: delta_heap}}}`), 1, -3 * 7},
		"two paths":          {targets(`{targets: [localhost:1], profiles: {cpu: false, goroutine: false, mutex: false, block: false, allocs: {path: delta_heap}}}`), 2, -3 * 7},
		"seconds of heap":    {targets(`targets: ["http://localhost:1/debug/pprof/heap?seconds=5"]`), 1, 0},
		"seconds of allocs":  {targets(`targets: ["http://localhost:1/debug/pprof/allocs?seconds=5"]`), 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, c.cfg)
			if n := len(r.targets[0].jobs); n != c.jobs {
				t.Fatalf("%d jobs, want %d", n, c.jobs)
			}
			for second := range 3 {
				for _, j := range r.targets[0].jobs {
					at := noon.Add(time.Duration(second) * time.Second)
					if _, err := r.deliver(j, &answer{p: delta(second), asked: at, done: at}); err != nil {
						t.Fatal(err)
					}
				}
			}
			sum := r.sink.sum()
			if sum.total("alloc_objects") != 120 || sum.total("alloc_space") != 1200 || sum.total("inuse_objects") != c.inUse {
				t.Errorf("reported %v, want 120 objects of 1200 bytes, and %d in use", sum, c.inUse)
			}
		})
	}
}

// The process is identified by its main mapping even if no location refers to
// it.
func TestAnotherBuildIsAnotherProcess(t *testing.T) {
	t.Parallel()
	at := func(second int, build string, n int64) *profile.Profile {
		m := program
		m.BuildID = build
		p := makeProfile(lockTypes, noon.Add(time.Duration(second)*time.Second), m, 0, simple("a", n, n))
		for _, l := range p.Location {
			l.Mapping = nil
		}
		return p
	}
	r := feed(t, one("localhost:1", "mutex"), at(0, "x", 5), at(1, "x", 7), at(2, "y", 8))
	if got := r.sink.sum().total("contentions"); got != 2+8 || r.Stats().Restarts != 1 {
		t.Errorf("%d contentions reported, want 10; stats %+v", got, r.Stats())
	}
}

// What differs in any part of its content is another stack.
func TestStacksAreDistinguished(t *testing.T) {
	t.Parallel()
	base := frame{fn: "f", file: "f.go", line: 3, address: 0x400010}
	with := func(change func(*frame)) stack {
		f := base
		change(&f)
		return stack{frames: []frame{f}}
	}
	all := []stack{
		with(func(*frame) {}),
		with(func(f *frame) { f.line = 4 }),
		with(func(f *frame) { f.file = "g.go" }),
		with(func(f *frame) { f.fn = "g" }),
		with(func(f *frame) { f.address++ }),
		with(func(f *frame) { f.inlined = []string{"f"} }),
		with(func(f *frame) { f.inlined = []string{"in"} }),
		with(func(f *frame) { f.inlined = []string{"in", "in"} }),
		{frames: []frame{base, base}},
		{},
		{frames: []frame{base}, labels: map[string][]string{"k": {"v"}}},
		{frames: []frame{base}, labels: map[string][]string{"kv": {""}}},
		{frames: []frame{base}, labels: map[string][]string{"k": {"v", "v"}}},
		{frames: []frame{base}, nums: map[string][]int64{"bytes": {16}}, units: map[string][]string{"bytes": {"bytes"}}},
		{frames: []frame{base}, nums: map[string][]int64{"bytes": {16}}, units: map[string][]string{"bytes": {"b"}}},
		{frames: []frame{base}, nums: map[string][]int64{"bytes": {32}}, units: map[string][]string{"bytes": {"bytes"}}},
	}
	at := func(second int, factor int64) *profile.Profile {
		stacks := slices.Clone(all)
		for i := range stacks {
			stacks[i].values = []int64{1 + int64(i)*factor, 1}
		}
		rand.Shuffle(len(stacks), func(i, j int) { stacks[i], stacks[j] = stacks[j], stacks[i] })
		return makeProfile(lockTypes, noon.Add(time.Duration(second)*time.Second), program, uint64(17*second), stacks...)
	}
	first, last := at(0, 1), at(1, 10)
	if n := len(totalsOf(first, "contentions")); n != len(all) {
		t.Fatalf("the test itself tells %d stacks of %d apart", n, len(all))
	}
	r := feed(t, one("localhost:1", "mutex"), first, last)
	sameTotals(t, "difference", r.sink.sum(), totalsOf(last).minus(totalsOf(first)))
	if n := r.Stats().Restarts; n != 0 {
		t.Errorf("%d restarts noticed: stacks were mixed up", n)
	}
}

// What is refused may have been taken in part: it is not offered again.
func TestRefusedDifferencesAreNotOfferedAgain(t *testing.T) {
	t.Parallel()
	r := feed(t, one("localhost:1", "mutex"), makeProfile(lockTypes, noon, program, 0, simple("a", 1, 1)))
	r.sink.fail = errors.New("full")
	if err := r.feedOne(makeProfile(lockTypes, noon.Add(time.Second), program, 0, simple("a", 2, 2))); causeOf(err) != causeSink {
		t.Errorf("got %v, want the cause %s", err, causeSink)
	}
	r.sink.fail = nil
	last := makeProfile(lockTypes, noon.Add(2*time.Second), program, 0, simple("a", 4, 4))
	r.feed(t, last)
	if got := r.sink.sum().total("contentions"); got != 2 {
		t.Errorf("%d contentions reported, want the 2 since the refusal", got)
	}
}

// What is refused whole stays for the next difference.
func TestDifferencesThatAreRefusedWholeComeLater(t *testing.T) {
	t.Parallel()
	at := func(second int, n int64) *profile.Profile {
		return makeProfile(lockTypes, noon.Add(time.Duration(second)*time.Second), program, 0, simple("a", n, n))
	}
	r := feed(t, one("localhost:1", "mutex"), at(0, 1))
	r.sink.fail = &reporter.RefusedError{Err: errors.New("no room")}
	if err := r.feedOne(at(1, 2)); causeOf(err) != causeSink {
		t.Errorf("got %v, want the cause %s", err, causeSink)
	}
	r.sink.fail = nil
	r.feed(t, at(2, 4))
	if got := r.sink.sum().total("contentions"); got != 3 {
		t.Errorf("%d contentions reported, want the 3 since the first fetch", got)
	}
}

func TestImpossibleNumbersAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, one("localhost:1", "mutex"))
	for _, values := range [][]int64{{-1, 0}, {math.MinInt64, 0}} {
		if err := r.feedOne(makeProfile(lockTypes, noon, program, 0, simple("a", values...))); causeOf(err) != causeNotPprof {
			t.Errorf("%d: got %v, want the cause %s", values, err, causeNotPprof)
		}
	}
	twice := makeProfile(lockTypes, noon, program, 0, simple("a", math.MaxInt64, 0), simple("a", 1, 0))
	if err := r.feedOne(twice); causeOf(err) != causeNotPprof {
		t.Errorf("a sum beyond the largest number: got %v, want the cause %s", err, causeNotPprof)
	}
	if len(r.sink.calls()) != 0 {
		t.Error("some of it was reported")
	}
}

func TestBaselinesAreBounded(t *testing.T) {
	t.Parallel()
	cfg := one("localhost:1", "mutex")
	cfg.MaxBaselineBytes = 10_000
	small := func(second int, n int64) *profile.Profile {
		return makeProfile(lockTypes, noon.Add(time.Duration(second)*time.Second), program, 0, simple("a", n, n))
	}
	var many []stack
	for i := range 100 {
		many = append(many, simple(strings.Repeat("x", i+1), 1, 1))
	}
	r := feed(t, cfg, small(0, 1), small(1, 3))
	if err := r.feedOne(makeProfile(lockTypes, noon.Add(2*time.Second), program, 0, append(many, simple("a", 4, 4))...)); causeOf(err) != causeBaseline {
		t.Fatalf("got %v, want the cause %s", err, causeBaseline)
	}
	if n := r.Stats().BaselineBytes; n != 0 {
		t.Errorf("%d bytes are remembered of what there was no room for", n)
	}
	r.feed(t, small(3, 5), small(4, 9))
	// 2 until the flood; what the flood held; nothing of the fetch that had nothing
	// to compare with; 4 after it.
	if got, want := r.sink.sum().total("contentions"), int64(2+100+1+4); got != want {
		t.Errorf("%d contentions reported, want %d", got, want)
	}
	if n := r.Stats().BaselineBytes; n <= 0 || n > 10_000 {
		t.Errorf("%d bytes are remembered, want those of a small baseline", n)
	}
}

// The window of a difference goes forward whatever the target's clock does.
func TestWindowsGoForward(t *testing.T) {
	t.Parallel()
	r := newRig(t, one("localhost:1", "mutex"))
	for i, own := range []time.Time{noon, noon.Add(-time.Minute), noon.Add(300 * 24 * time.Hour), {}} {
		p := makeProfile(lockTypes, own, program, 0, simple("a", int64(i), int64(i)))
		if own.IsZero() {
			p.TimeNanos = 0
		}
		asked := noon.Add(time.Duration(i) * 15 * time.Second)
		if _, err := r.deliver(r.targets[0].jobs[0], &answer{p: p, asked: asked, done: asked.Add(time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range r.sink.calls() {
		if d := c.meta.Duration; d <= 0 || d > 2*time.Minute || c.meta.Start.Sub(noon).Abs() > 10*time.Minute {
			t.Errorf("report %d is of %s at %s", i, d, c.meta.Start)
		}
	}
}

// life is a made-up process: what it has accumulated, by stack.
type life struct {
	process profile.Mapping
	values  map[int][2]int64
}

// world makes lives and fetches, and knows what should be reported.
type world struct {
	rng    func(n int) int
	now    life
	second int
	want   totals
	stacks []stack

	lives   int
	begun   bool   // there was a fetch
	highest totals // of this life; nil: none seen
}

func newWorld(rng func(n int) int) *world {
	w := &world{rng: rng, want: totals{}, now: life{program, map[int][2]int64{}}}
	for i := range 12 {
		s := stack{}
		for d := range 1 + i%4 {
			f := frame{fn: fmt.Sprintf("f%d", (i+d)%5), file: "w.go", line: int64(i % 3), address: uint64(0x400000 + i%6*16 + d)}
			if i%3 == 0 {
				f.inlined = []string{"inlined"}
			}
			s.frames = append(s.frames, f)
		}
		if i%4 == 1 {
			s.labels = map[string][]string{"route": {fmt.Sprint(i % 8)}}
		}
		if i%4 == 2 {
			s.nums, s.units = map[string][]int64{"bytes": {int64(16 * i)}}, map[string][]string{"bytes": {"bytes"}}
		}
		w.stacks = append(w.stacks, s)
	}
	return w
}

// work lets stacks accumulate.
func (w *world) work() {
	for range w.rng(8) {
		i := w.rng(len(w.stacks))
		v := w.now.values[i]
		w.now.values[i] = [2]int64{v[0] + int64(w.rng(5)), v[1] + int64(w.rng(500))}
	}
}

// restart ends a life. What the last fetch did not see is lost.
func (w *world) restart() {
	w.lives++
	w.now = life{program, map[int][2]int64{}}
	w.now.process.Start = 0x10000000 * uint64(w.lives)
	w.highest = nil
}

// fetch is what the process answers now, in any order, with stacks in pieces.
func (w *world) fetch() *profile.Profile {
	var list []stack
	hidden := w.rng(2 * len(w.stacks)) // one stack may be missing
	for i, v := range w.now.values {
		if i == hidden {
			continue
		}
		pieces := [][2]int64{v}
		if w.rng(3) == 0 {
			a, b := int64(w.rng(int(v[0])+1)), int64(w.rng(int(v[1])+1))
			pieces = [][2]int64{{a, b}, {v[0] - a, v[1] - b}}
		}
		for _, piece := range pieces {
			s := w.stacks[i]
			s.values = []int64{piece[0], piece[1]}
			list = append(list, s)
		}
	}
	for i := len(list) - 1; i > 0; i-- {
		j := w.rng(i + 1)
		list[i], list[j] = list[j], list[i]
	}
	w.second++
	return makeProfile(lockTypes, noon.Add(time.Duration(w.second)*time.Second), w.now.process, uint64(w.rng(1000)), list...)
}

// oracle adds to what should be reported: of each life, the highest values that were
// seen, less those that the very first fetch had.
func (w *world) oracle(p *profile.Profile) {
	has := totalsOf(p)
	if w.highest == nil {
		w.highest = totals{}
		if !w.begun {
			w.highest = maps.Clone(has)
		}
	}
	w.begun = true
	for key, v := range has {
		if had := w.highest[key]; v > had {
			w.want[key] += v - had
			w.highest[key] = v
		}
	}
}

func (w *world) live(t testing.TB, steps int) {
	r := newRig(t, one("localhost:1", "mutex"))
	for range steps {
		switch w.rng(8) {
		case 0:
			w.restart()
		case 1: // the fetch fails
			continue
		}
		w.work()
		p := w.fetch()
		w.oracle(p)
		r.feed(t, p)
	}
	sameTotals(t, "sum of what was reported", r.sink.sum(), w.want)
}

// The sum of what is reported is the difference of last and first, in whatever
// way it comes about.
func TestSumsAreRight(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		newWorld(rng.IntN).live(t, 30)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Without restarts the oracle is a subtraction.
func TestSumIsLastMinusFirst(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	w := newWorld(rng.IntN)
	w.work()
	first := w.fetch()
	all := []*profile.Profile{first}
	for range 50 {
		w.work()
		all = append(all, w.fetch())
	}
	r := feed(t, one("localhost:1", "mutex"), all...)
	sameTotals(t, "sum", r.sink.sum(), totalsOf(all[50]).minus(totalsOf(first)))
	if n := r.Stats().Restarts; n != 0 {
		t.Errorf("%d restarts noticed in one life", n)
	}
}

// FuzzDelta lets the input decide what processes do.
func FuzzDelta(f *testing.F) {
	f.Add([]byte("a process that does this and that, and then starts again"))
	f.Add(binary.LittleEndian.AppendUint64(nil, math.MaxUint64))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			t.Skip("a longer history finds no more")
		}
		i := 0
		w := newWorld(func(n int) int {
			if len(data) == 0 {
				return 0
			}
			i++
			return (int(data[i%len(data)]) + i/len(data)) % n
		})
		w.live(t, 12)
	})
}

func TestMapsOfTotals(t *testing.T) {
	t.Parallel()
	a := totals{"x": 2, "y": 1}
	if d := a.minus(totals{"x": 2}); !maps.Equal(d, totals{"y": 1}) {
		t.Errorf("got %v", d)
	}
}
