package pprofreceiver

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/reporter"
)

// liveHeap returns the bytes of what is in use.
func liveHeap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// peakHeap returns the most that the heap grew by while f ran, and what f kept: the
// collector runs all the time.
func peakHeap(f func() (keep any)) int {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	before := liveHeap()
	stop, peaked := make(chan struct{}), make(chan int)
	go func() {
		peak := 0
		for {
			select {
			case <-stop:
				peaked <- peak
				return
			default:
				peak = max(peak, liveHeap())
			}
		}
	}()
	keep := f()
	close(stop)
	peak := max(<-peaked, liveHeap())
	runtime.KeepAlive(keep)
	return peak - before
}

// amplifiers are profiles in protobuf of about n bytes of which a parser makes many
// times as much.
func amplifiers(n int) map[string][]byte {
	field := func(num uint32, b string) []byte { return wire.AppendBytes(nil, num, b) }
	repeat := func(b []byte) []byte { return bytes.Repeat(b, max(n/len(b), 1)) }
	within := func(num uint32, b []byte) []byte { return wire.AppendBytes(nil, num, repeat(b)) }
	label := string(field(3, "\x08\x01\x10\x01"))
	all := map[string][]byte{
		"samples": repeat(field(2, "")), "types": repeat(field(1, "")), "periods": repeat(field(11, "")),
		"mappings": repeat(field(3, "\x08\x01")), "locations": repeat(field(4, "")), "functions": repeat(field(5, "")),
		"empty strings": repeat(field(6, "")), "short strings": append(field(6, ""), repeat(field(6, "ab"))...),
		"comments": append(field(6, ""), repeat([]byte{13 << 3, 0})...), "packed comments": append(field(6, ""), within(13, []byte{0})...),
		"lines of one": within(4, field(4, "")), "lines": repeat(field(4, strings.Repeat("\x22\x00", 3))),
		"ids": repeat(field(2, "\x08\x01\x08\x01\x08\x01")), "ids of one": within(2, []byte{8, 1}), "packed ids": repeat(field(2, "\x0a\x0a"+strings.Repeat("\x01", 10))),
		"values of one": within(2, []byte{16, 1}), "packed values": repeat(field(2, "\x12\x0a"+strings.Repeat("\x01", 10))),
		"labels of one": append(slices.Concat(field(6, ""), field(6, "k")), within(2, []byte(label))...),
		"text labels":   append(slices.Concat(field(6, ""), field(6, "k")), repeat(field(2, label))...),
		"number labels": append(slices.Concat(field(6, ""), field(6, "k")), repeat(field(2, "\x1a\x06\x08\x01\x18\x05\x20\x01"))...),
		"both labels":   append(slices.Concat(field(6, ""), field(6, "k")), repeat(field(2, label+"\x1a\x06\x08\x01\x18\x05\x20\x01"))...),
		"empty labels":  repeat(field(2, strings.Repeat("\x1a\x00", 10))),
		"unknown":       repeat([]byte{15 << 3, 1}),
	}
	var sparse []byte // ids that need maps
	for i := 0; len(sparse) < n; i++ {
		var e wire.Encoder
		for _, num := range []uint32{3, 4, 5} {
			one := e.Open(num)
			e.Varint(1, 1<<50+uint64(i))
			e.Close(one)
		}
		sparse = append(sparse, e.Buf...)
	}
	all["sparse ids"] = append(field(6, ""), sparse...)
	return all
}

// What the parser takes is never more than weigh says. It does not run beside other
// tests, which share the heap.
func TestWeightsAreRight(t *testing.T) {
	for _, n := range []int{10 << 10, 1 << 20} {
		for name, data := range amplifiers(n) {
			tree, err := weigh(data)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			const noise = 32 << 10
			if took := peakHeap(func() any { p, _ := profile.ParseUncompressed(data); return p }); took > tree+noise {
				t.Errorf("%s: parsing %d bytes took %d, weighed as %d", name, len(data), took, tree)
			}
		}
	}
}

// realProfile is what a program like ours serves: many stacks of a few hundred
// functions, some with labels.
func realProfile(t testing.TB) []byte {
	t.Helper()
	var stacks []stack
	for i := range 4000 {
		s := stack{values: []int64{int64(i), int64(i) * 512, 1, 512}}
		for depth := range 20 {
			fn := (i*7 + depth*13) % 600
			s.frames = append(s.frames, frame{
				fn: fmt.Sprintf("github.com/example/shop/internal/checkout.(*Service%d).Handle%d", fn%40, fn), file: fmt.Sprintf("/src/shop/internal/checkout/service_%d.go", fn%40),
				line: int64(fn), address: 0x400000 + uint64(fn)*64,
			})
		}
		if i%4 == 0 {
			s.labels = map[string][]string{"tenant": {fmt.Sprint("tenant-", i%50)}}
		}
		stacks = append(stacks, s)
	}
	p := makeProfile(heapTypes, noon, program, 0, stacks...).Compact()
	var b bytes.Buffer
	if err := p.WriteUncompressed(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What an ordinary profile takes is not exaggerated: a budget would be spent on nothing.
func TestWeightsAreNotTooLarge(t *testing.T) {
	data := realProfile(t)
	tree, err := weigh(data)
	if err != nil {
		t.Fatal(err)
	}
	took := peakHeap(func() any { p, _ := profile.ParseUncompressed(data); return p })
	if t.Logf("%d bytes of profile, %d weighed, %d taken", len(data), tree, took); tree < took || tree > 4*took {
		t.Errorf("weighed as %d, took %d: want at most four times as much", tree, took)
	}
}

// The parser takes field numbers that protobuf does not have. What follows one is not
// parsed unweighed.
func TestWhatIsNotWeighedIsNotParsed(t *testing.T) {
	t.Parallel()
	samples := bytes.Repeat([]byte{0x12, 0}, 1000)
	strange := []byte{0x80, 0x80, 0x80, 0x80, 0x10, 0} // number 2^29
	for name, data := range map[string][]byte{
		"first":           slices.Concat(strange, samples),
		"in a sample":     slices.Concat(wire.AppendBytes(nil, 2, slices.Concat(strange, bytes.Repeat([]byte{0x1a, 0}, 1000))), samples),
		"in a label":      wire.AppendBytes(nil, 2, wire.AppendBytes(nil, 3, strange)),
		"in a location":   wire.AppendBytes(nil, 4, slices.Concat(strange, bytes.Repeat([]byte{0x22, 0}, 1000))),
		"an overlong int": slices.Concat([]byte{0x48}, bytes.Repeat([]byte{0xff}, 9), []byte{0x7f}, samples),
	} {
		if n, err := weigh(data); causeOf(err) != causeNotPprof {
			t.Errorf("%s: weighed as %d, %v", name, n, err)
		}
	}
}

// reportable are profiles that are valid, and large when they are reported.
func reportable(t testing.TB) map[string]*profile.Profile {
	t.Helper()
	long := strings.Repeat("x", 100_000)
	simpleType := []string{"alloc_space"}
	var names, lines, labels, many []stack
	for i := range 50 {
		names = append(names, stack{frames: []frame{{fn: long, file: long, address: uint64(i)}}, values: []int64{1}})
		labels = append(labels, stack{frames: []frame{{fn: "f", address: uint64(i)}}, labels: map[string][]string{"k": {long}}, values: []int64{1}})
	}
	inlined := make([]string, 3000)
	for i := range inlined {
		inlined[i] = fmt.Sprint(i)
	}
	lines = append(lines, stack{frames: []frame{{fn: "f", address: 1, inlined: inlined}}, values: []int64{1}})
	for i := range 20_000 {
		many = append(many, stack{frames: []frame{{fn: "f", address: uint64(i)}}, values: []int64{1}})
	}
	comments := makeProfile(heapTypes, noon, program, 0, simple("f", 1, 1, 1, 1))
	for range 20 {
		comments.Comments = append(comments.Comments, long)
	}
	honest, err := profile.ParseUncompressed(realProfile(t))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*profile.Profile{
		"long names": makeProfile(simpleType, noon, program, 0, names...), "many lines": makeProfile(simpleType, noon, program, 0, lines...),
		"long labels": makeProfile(simpleType, noon, program, 0, labels...), "many samples": makeProfile(simpleType, noon, program, 0, many...),
		"comments": comments, "honest": honest,
	}
}

// To report a profile takes no more than workOf and reportedBytes say: the first for
// the moment, the second in the reporter.
func TestWorkIsRight(t *testing.T) {
	for name, p := range reportable(t) {
		rep, err := reporter.NewOTLP(reporter.OTLPConfig{Consumer: &testkit.Sink{}}) // not started: nothing leaves it
		if err != nil {
			t.Fatal(err)
		}
		cfg := one("localhost:1", "heap")
		cfg.CountFrom = FromProcessStart
		e, err := NewEngine(cfg, settings(), rep)
		if err != nil {
			t.Fatal(err)
		}
		before := rep.MemoryBytes()
		took := peakHeap(func() any {
			if _, err := e.deliver(e.targets[0].jobs[0], &answer{p: p, asked: time.Now(), done: time.Now()}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return e
		})
		held := int(rep.MemoryBytes() - before)
		if t.Logf("%s: took %d, workOf %d, held %d, reportedBytes %d", name, took, workOf(p), held, reportedBytes(p)); held > reportedBytes(p) {
			t.Errorf("%s: the reporter holds %d bytes more, expected at most %d", name, held, reportedBytes(p))
		}
		const noise = 64 << 10
		if most := workOf(p) + held + noise; took > most {
			t.Errorf("%s: reporting took %d bytes, expected at most %d", name, took, most)
		}
		_ = rep.Shutdown(ended())
	}
}

// All fetches together, and what is kept of them, take no more than the budget; a
// profile that would is refused, and others are not.
func TestFetchesAreBoundedByTheBudget(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 16 << 20, MaxWait: -1})
	bombs := amplifiers(1 << 20)
	var cfg Config
	for _, name := range slices.Sorted(maps.Keys(bombs)) {
		bomb := packed(t, 1, bombs[name])
		addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bomb) }))
		if cfg.Targets == nil {
			cfg = one(addr, "heap")
		} else {
			cfg.Targets = append(cfg.Targets, Target{Endpoint: addr})
		}
	}
	good := plainProfile(t)
	cfg.Targets = append(cfg.Targets, Target{Endpoint: serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good) }))})
	set := settings()
	set.Memory = budget
	r := newRigWith(t, cfg, set)
	r.rounds(2)
	if s := budget.Stats(); s.Peak > 16<<20 || s.Peak < 1<<20 || s.Used != r.baselines.Charged() {
		t.Errorf("%+v; the baselines have %d bytes", s, r.baselines.Charged())
	}
	if !strings.Contains(r.failed(), "memory:") {
		t.Errorf("failures %s, want some for want of memory", r.failed())
	}
	for _, s := range r.Status() {
		if strings.Contains(s.Problem, "reserve memory") && !strings.Contains(s.Problem, "memory budget") {
			t.Errorf("%s: %s", s.Name, s.Problem)
		}
	}
	for range 20 { // it may have met others
		if r.rounds(1); r.Status()[len(cfg.Targets)-1].Last.IsZero() {
			continue
		}
		break
	}
	if s := r.Status()[len(cfg.Targets)-1]; s.Last.IsZero() {
		t.Errorf("the good target was never read: %s", s.Problem)
	}
}

// Baselines are charged to the budget; without room for one, counting begins again.
func TestBaselinesAreCharged(t *testing.T) {
	t.Parallel()
	budget := admission.New(admission.Config{Bytes: 1 << 20, MaxWait: -1})
	set := settings()
	set.Memory = budget
	r := newRigWith(t, one("localhost:1", "mutex"), set)
	at := func(second int, n int64) *profile.Profile {
		return makeProfile(lockTypes, noon.Add(time.Duration(second)*time.Second), program, 0, simple("a", n, n))
	}
	r.feed(t, at(0, 1))
	if used, held := budget.Stats().Used, r.Stats().BaselineBytes; used < held || held == 0 {
		t.Errorf("%d bytes are charged, %d are held", used, held)
	}
	hold, err := budget.Acquire(t.Context(), "another", int(1<<20-budget.Stats().Used))
	if err != nil {
		t.Fatal(err)
	}
	var many []stack
	for i := range 2000 {
		many = append(many, simple(strings.Repeat("x", i%100+1)+fmt.Sprint(i), 1, 1))
	}
	if err := r.feedOne(makeProfile(lockTypes, noon.Add(time.Second), program, 0, append(many, simple("a", 3, 3))...)); causeOf(err) != causeMemory {
		t.Errorf("got %v, want the cause %s", err, causeMemory)
	}
	hold.Release()
	r.feed(t, at(3, 5), at(4, 9))
	if got, want := r.sink.sum().total("contentions"), int64(2+2000+4); got != want {
		t.Errorf("%d contentions reported, want %d", got, want)
	}
	if err := r.Shutdown(t.Context()); err != nil || budget.Stats().Used != 0 {
		t.Errorf("%v, %d bytes are charged in the end", err, budget.Stats().Used)
	}
}

// A profile that the reporter has no room for is not begun: the next fetch brings all.
func TestNothingIsLostForWantOfRoom(t *testing.T) {
	t.Parallel()
	const limit = 8 << 20
	budget := admission.New(admission.Config{Bytes: limit, MaxWait: -1})
	targets := &script{left: []*profile.Profile{heapAt(0, simple("a", 1, 10, 0, 0)), heapAt(1, simple("a", 3, 30, 0, 0))}}
	sink := &testkit.Sink{}
	cfg := one(serve(t, targets), "allocs")
	cfg.CollectionInterval = time.Second
	r, err := New(cfg, component.Settings{ID: "pprof/test", Memory: budget})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Register(otlp.Profiles, sink); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "a difference is reported", func() bool { return r.Stats().Numbers > 0 })
	if used := budget.Stats().Used; used == 0 {
		t.Error("the reporter's samples are not charged")
	}
	hold, err := budget.Acquire(t.Context(), "another", limit-int(budget.Stats().Used)-300<<10)
	if err != nil {
		t.Fatal(err)
	}
	targets.mu.Lock()
	targets.left = []*profile.Profile{heapAt(2, simple("a", 10, 100, 0, 0))}
	targets.mu.Unlock()
	testkit.Eventually(t, "there is no room", func() bool { return r.Stats().Failures[string(causeMemory)] > 0 })
	hold.Release()
	testkit.Eventually(t, "all is reported", func() bool { return r.Stats().Numbers >= 4 })
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := totals{}
	for _, request := range sink.Requests(otlp.Profiles) {
		sent(t, request, got, map[string]bool{})
	}
	if n := got.total("alloc_objects"); n != 9 {
		t.Errorf("%d objects were reported, want 9", n)
	}
	if n := budget.Stats().Used; n != 0 {
		t.Errorf("%d bytes are charged in the end", n)
	}
}
