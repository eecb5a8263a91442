package differential

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

var (
	requests = flag.Int("requests", 20_000, "how many requests to compare")
	seed     = flag.Uint64("seed", 1, "where the generator begins; other seeds, other requests")
)

// tally is what a run has found.
type tally struct {
	mu       sync.Mutex
	requests int
	accepted map[string]int // by each decoder
	reasons  map[string]int
}

func (a *tally) add(b *tally) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests += b.requests
	for k, n := range b.accepted {
		a.accepted[k] += n
	}
	for k, n := range b.reasons {
		a.reasons[k] += n
	}
}

func newTally() *tally { return &tally{accepted: map[string]int{}, reasons: map[string]int{}} }

func (a *tally) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d requests; accepted by", a.requests)
	for _, who := range slices.Sorted(maps.Keys(a.accepted)) {
		fmt.Fprintf(&out, " %s: %d", who, a.accepted[who])
	}
	out.WriteByte('\n')
	for _, k := range slices.Sorted(maps.Keys(a.reasons)) {
		fmt.Fprintf(&out, "%9d  %s\n", a.reasons[k], k)
	}
	return out.String()
}

// inParallel calls f with *requests numbers, and adds up what it finds.
func inParallel(t *testing.T, f func(t *testing.T, n uint64, found *tally)) *tally {
	t.Helper()
	all := newTally()
	var wg sync.WaitGroup
	workers := uint64(runtime.GOMAXPROCS(0))
	for w := range workers {
		wg.Go(func() {
			found := newTally()
			for n := w; found.requests < *requests/int(workers) && !t.Failed(); n += workers {
				f(t, *seed<<32+n, found)
			}
			all.add(found)
		})
	}
	wg.Wait()
	return all
}

// Wire bytes: penstock, the official module and pdata say the same, but for the
// reasons listed.
func TestWire(t *testing.T) {
	found := inParallel(t, func(t *testing.T, n uint64, found *tally) {
		rng := rand.New(rand.NewPCG(n, 1))
		for _, s := range otlp.Signals() {
			valid := testkit.Request(rng, s, rng.IntN(6))
			o := look(s, valid)
			compareWire(t, s, n, valid, o, found)
			if !t.Failed() && byPenstock(s, valid).err != nil {
				t.Errorf("seed %d, %s: a valid request is refused: %v", n, s, byPenstock(s, valid).err)
			}
			for range 3 {
				b := mutate(rng, valid, o)
				compareWire(t, s, n, b, look(s, b), found)
			}
		}
	})
	t.Log(found)
	if all := found.requests; found.accepted["penstock"] < all/4 || found.accepted["penstock"] > all*9/10 {
		t.Errorf("%d of %d are accepted: the generator has lost its balance", found.accepted["penstock"], all)
	}
}

func compareWire(t *testing.T, s otlp.Signal, n uint64, request []byte, o *oddities, found *tally) {
	if t.Failed() {
		return
	}
	penstock, official, pdata := byPenstock(s, request), byOfficial(s, request), byPdata(s, request)
	found.requests++
	for name, v := range map[string]verdict{"penstock": penstock, "official": official, "pdata": pdata} {
		if v.ok() {
			found.accepted[name]++
		}
	}
	for _, d := range differences(penstock, official, pdata) {
		why := explain(d, s, request, o)
		if why == "" {
			t.Errorf("seed %d, %s: %s, and no listed reason applies\npenstock %v\nofficial %v\npdata    %v\n%x", n, s, d, penstock, official, pdata, request)
		}
		found.reasons[string(d)+": "+why]++
	}
}
