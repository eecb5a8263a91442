package join

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unique"

	"github.com/penstock-telemetry/penstock/libpf"
)

// verifyRing compares what a cache says of itself with what is in it.
func verifyRing[K comparable, V any](t testing.TB, name string, c *cache[K, V], shared int) {
	t.Helper()
	sum, n := shared, 0
	for e := c.hand; e != nil; {
		if c.entries[e.key] != e || e.next.prev != e {
			t.Fatalf("%s: the ring and the map differ", name)
		}
		sum, n = sum+e.bytes, n+1
		if e = e.next; e == c.hand {
			break
		}
	}
	if n != len(c.entries) {
		t.Fatalf("%s: %d in the ring, %d in the map", name, n, len(c.entries))
	}
	if sum != c.bytes || c.bytes > c.maxBytes {
		t.Fatalf("%s: says %d bytes of at most %d, has %d", name, c.bytes, c.maxBytes, sum)
	}
}

// verify computes from the contents what a Join counts as it goes.
func verify(t testing.TB, j *Join) {
	t.Helper()
	frames, files := map[*frame]int{}, map[*file]int{}
	shared := 0
	for _, e := range j.stacks.entries {
		if want := j.stacks.entryBytes + len(e.value.frames)*slotBytes; e.bytes != want {
			t.Fatalf("a stack of %d frames counts %d bytes, expected %d", len(e.value.frames), e.bytes, want)
		}
		for _, f := range e.value.frames {
			if frames[f]++; frames[f] == 1 {
				x := f.key.file
				want := frameBytes
				if f.epoch > 0 {
					want += stringBytes(f.resolved.Value().FunctionName, f.resolved.Value().SourceFile)
				}
				if j.frames[f.key] != f || f.bytes != want {
					t.Fatalf("a frame counts %d bytes, expected %d; known: %v", f.bytes, want, j.frames[f.key] == f)
				}
				shared += want
				if files[x]++; files[x] == 1 {
					want := fileBytes
					if x.mapping != (unique.Handle[libpf.Mapping]{}) {
						want += stringBytes(x.mapping.Value().FileName, x.mapping.Value().GNUBuildID)
					}
					if j.files[x.key] != x || x.bytes != want {
						t.Fatalf("a file counts %d bytes, expected %d; known: %v", x.bytes, want, j.files[x.key] == x)
					}
					shared += want
				}
			}
		}
	}
	for f, n := range frames {
		if f.users != n {
			t.Fatalf("a frame counts %d users, has %d", f.users, n)
		}
	}
	for x, n := range files {
		if x.users != n {
			t.Fatalf("a file counts %d users, has %d", x.users, n)
		}
	}
	if len(frames) != len(j.frames) || len(files) != len(j.files) {
		t.Fatalf("%d frames and %d files in stacks, %d and %d kept", len(frames), len(files), len(j.frames), len(j.files))
	}
	for id, e := range j.symbols.entries {
		if want := j.symbols.entryBytes + stringBytes(e.value.function, e.value.file); e.bytes != want {
			t.Fatalf("symbol %v counts %d bytes, expected %d", id, e.bytes, want)
		}
	}
	for id, e := range j.fallbacks.entries {
		if want := j.fallbacks.entryBytes + stringBytes(e.value); e.bytes != want {
			t.Fatalf("fallback symbol %v counts %d bytes, expected %d", id, e.bytes, want)
		}
	}
	for id, e := range j.executables.entries {
		if want := j.executables.entryBytes + stringBytes(e.value.fileName, e.value.buildID); e.bytes != want {
			t.Fatalf("executable %v counts %d bytes, expected %d", id, e.bytes, want)
		}
	}
	verifyRing(t, "stacks", &j.stacks, shared)
	verifyRing(t, "symbols", &j.symbols, 0)
	verifyRing(t, "fallbacks", &j.fallbacks, 0)
	verifyRing(t, "executables", &j.executables, 0)
	if sum := j.stacks.bytes + j.symbols.bytes + j.fallbacks.bytes + j.executables.bytes; j.Bytes() != sum {
		t.Fatalf("Bytes says %d, the caches %d", j.Bytes(), sum)
	}
}

func TestEvictionSparesTheUsed(t *testing.T) {
	t.Parallel()
	c := newCache[int, int](0, nil)
	c.maxBytes = 10 * c.entryBytes
	for i := range 10 {
		c.put(i, i, 0)
		c.entries[i].used = false // as if the hand had come by
	}
	c.get(0)
	c.get(5)
	c.put(7, 70, 0)
	for i := 10; i < 17; i++ { // as many as were not used
		c.put(i, i, 0)
		verifyRing(t, "cache", &c, 0)
	}
	for i := range 17 {
		want := i == 0 || i == 5 || i == 7 || i >= 10
		if got := c.entries[i] != nil; got != want {
			t.Errorf("%d is there: %v, expected %v", i, got, want)
		}
	}
	if c.evicted != 7 || c.entries[7].value != 70 {
		t.Errorf("%d evicted, 7 is %d", c.evicted, c.entries[7].value)
	}
	// Use spares once: at the next turn all go.
	for i := 17; i < 27; i++ {
		c.put(i, i, 0)
	}
	for i := range 17 {
		if c.entries[i] != nil {
			t.Errorf("%d is still there", i)
		}
	}
}

// What was just reported is not what goes.
func TestNewestStays(t *testing.T) {
	t.Parallel()
	c := newCache[int, int](0, nil)
	c.maxBytes = 10 * c.entryBytes
	for i := range 1000 {
		c.put(i, i, 0)
		for k := max(0, i-9); k <= i; k++ {
			if c.entries[k] == nil {
				t.Fatalf("%d was evicted when %d came", k, i)
			}
		}
	}
}

// Nor is it if all that is older was used meanwhile: a turn later the oldest goes.
func TestNewestStaysAmongTheUsed(t *testing.T) {
	t.Parallel()
	c := newCache[int, int](0, nil)
	c.maxBytes = 10 * c.entryBytes
	for i := range 5 {
		c.put(i, i, 0)
		c.get(i)
	}
	for i := 5; i < 11; i++ {
		c.put(i, i, 0)
	}
	for i := range 11 {
		if got := c.entries[i] != nil; got != (i > 0) {
			t.Errorf("%d is there: %v", i, got)
		}
	}
}

// Nor is what has grown, though it is the oldest.
func TestGrownStays(t *testing.T) {
	t.Parallel()
	c := newCache[int, int](0, nil)
	c.maxBytes = 10 * c.entryBytes
	for i := range 10 {
		c.put(i, i, 0)
	}
	c.put(0, 100, 7*c.entryBytes)
	if c.entries[0] == nil || c.entries[0].value != 100 || len(c.entries) != 3 {
		t.Errorf("%d entries, the one that grew: %v", len(c.entries), c.entries[0])
	}
	verifyRing(t, "cache", &c, 0)
}

// Bytes is the true sum and within the bound, whatever comes.
func TestBytesAreTrue(t *testing.T) {
	t.Parallel()
	for _, maxBytes := range []int{1, 3000, 10_000, 100_000, 1 << 20} {
		t.Run(fmt.Sprint(maxBytes), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, uint64(maxBytes)))
			j := New(Config{MaxBytes: maxBytes})
			for i := range 4000 {
				step(j, r)
				if j.Bytes() > maxBytes {
					t.Fatalf("%d bytes of at most %d", j.Bytes(), maxBytes)
				}
				if i%7 == 0 {
					verify(t, j)
				}
			}
			e := j.Evicted()
			if maxBytes <= 10_000 && (e.Traces == 0 || e.Frames == 0 || e.Executables == 0 || e.FallbackSymbols == 0) {
				t.Errorf("nothing of some kind was evicted: %+v", e)
			}
			if maxBytes > 1 && e.Conflicts == 0 {
				t.Error("no trace was in conflict with another")
			}
		})
	}
}

func anyHash(r *rand.Rand) libpf.TraceHash { return libpf.NewTraceHash(0, r.Uint64N(200)) }

// step is any call with any arguments, of a few hundred.
func step(j *Join, r *rand.Rand) {
	id := libpf.NewFileID(r.Uint64N(20), 1)
	addr := libpf.AddressOrLineno(r.Uint64N(30))
	name := func() string { return fmt.Sprintf("%0*d", r.IntN(40), r.IntN(1000))[r.IntN(2):] }
	h := anyHash(r)
	switch r.IntN(6) {
	case 0:
		t := &libpf.Trace{Hash: h}
		for range r.IntN(12) {
			t.Files = append(t.Files, libpf.NewFileID(r.Uint64N(20), 1))
			t.Linenos = append(t.Linenos, libpf.AddressOrLineno(r.Uint64N(30)))
			t.FrameTypes = append(t.FrameTypes, types[r.IntN(len(types))])
		}
		j.Trace(t)
	case 1:
		j.Executable(id, name(), name())
	case 2:
		j.Frame(id, addr, libpf.SourceLineno(r.Uint64N(9)), r.Uint32N(9), name(), name())
	case 3:
		j.FallbackSymbol(libpf.NewFrameID(id, addr), name())
	default:
		j.Resolve(h)
	}
}

var types = []libpf.FrameType{
	libpf.UnknownFrame, libpf.PythonFrame, libpf.NativeFrame, libpf.KernelFrame, libpf.V8Frame, libpf.GoFrame,
	libpf.AbortFrame, libpf.NativeFrame | 0x80, libpf.KernelFrame | 0x80, libpf.PythonFrame | 0x80, libpf.PHPJITFrame, 99,
}
