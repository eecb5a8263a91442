package join

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
)

func heap() int {
	runtime.GC()
	runtime.GC() // the first lets go of interned values, the second frees them
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// report reports fact i of each kind, and a stack of 24 frames, three of them new. All
// are of one size, whatever i.
func report(j *Join, i int) libpf.TraceHash {
	n := uint64(i)
	name := strconv.Itoa(1e9 + i)
	j.Executable(libpf.NewFileID(5, n), "executable-"+name, "0123456789abcdef0123"+name)
	j.Frame(libpf.NewFileID(6, n/50), libpf.AddressOrLineno(n), 20, 3, "module.function"+name, "/usr/lib/python3/site-packages/"+name)
	j.FallbackSymbol(libpf.NewFrameID(libpf.NewFileID(7, 7), libpf.AddressOrLineno(n)), "do_syscall_"+name)
	t := &libpf.Trace{Hash: libpf.NewTraceHash(n, n)}
	t.AppendFrame(libpf.KernelFrame, libpf.NewFileID(7, 7), libpf.AddressOrLineno(n))
	t.AppendFrame(libpf.NativeFrame, libpf.NewFileID(5, n), libpf.AddressOrLineno(n))
	for k := range 22 {
		t.AppendFrame(libpf.PythonFrame, libpf.NewFileID(6, (n-uint64(k))/50), libpf.AddressOrLineno(n-uint64(k)))
	}
	j.Trace(t)
	return t.Hash
}

// A million facts later the heap is what it was, and Bytes says about
// what the heap does. It does not run beside other tests, for they share the heap.
func TestMemoryIsFlat(t *testing.T) {
	facts := 200_000 // of each of five kinds
	const maxBytes = 8 << 20
	if testing.Short() || raceEnabled {
		facts = 40_000
	}
	before := heap()
	j := New(Config{MaxBytes: maxBytes})
	j.Executable(libpf.NewFileID(7, 7), "vmlinux", "")
	hashes := make([]libpf.TraceHash, 0, 500) // of a flush
	for i := range facts {
		if hashes = append(hashes, report(j, i)); len(hashes) < cap(hashes) {
			continue
		}
		for k, h := range hashes {
			if frames, complete := j.Resolve(h); len(frames) != 24 || i >= 1000 && !complete {
				t.Fatalf("stack %d of %d: %d frames, complete %v", k, i, len(frames), complete)
			}
		}
		hashes = hashes[:0]
		if (i+1)%(facts/5) != 0 {
			continue
		}
		took, says := heap()-before, j.Bytes()
		t.Logf("%d facts: heap %d KiB, Bytes %d KiB, %d stacks, %+v", i+1, took>>10, says>>10, len(j.stacks.entries), j.Evicted())
		if says > maxBytes || says < maxBytes*9/10 {
			t.Errorf("after %d facts Bytes says %d of at most %d: it should be full and not more", i+1, says, maxBytes)
		}
		if took > maxBytes*6/5 || took < maxBytes*7/10 {
			t.Errorf("after %d facts the heap has grown by %d, Bytes says %d", i+1, took, says)
		}
	}
	verify(t, j)
	e := j.Evicted()
	if n := uint64(facts); e.Traces+uint64(len(j.stacks.entries)) != n || e.Frames+uint64(len(j.symbols.entries)) != n ||
		e.Executables+uint64(len(j.executables.entries)) != n+1 || e.FallbackSymbols+uint64(len(j.fallbacks.entries)) != n {
		t.Errorf("kept and evicted are not %d of each: %+v", n, e)
	}
	runtime.KeepAlive(j)
}

// The default holds 50,000 stacks of 24 frames over 20,000 functions.
func TestDefaultHoldsABusyHost(t *testing.T) {
	j := New(Config{})
	const stacks = 50_000
	fill(j, stacks)
	for i := range stacks {
		if frames, complete := j.Resolve(busyHash(i)); len(frames) != 24 || !complete {
			t.Fatalf("stack %d: %d frames, complete %v", i, len(frames), complete)
		}
	}
	if e := j.Evicted(); e != (Evictions{}) {
		t.Errorf("evicted %+v", e)
	}
	t.Logf("%d bytes, of these stacks %d, symbols %d", j.Bytes(), j.stacks.bytes, j.symbols.bytes)
}
