package join

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
)

func busyHash(i int) libpf.TraceHash { return libpf.NewTraceHash(1, uint64(i)) }

// fill reports stacks of 24 frames: 4 kernel, 10 native, 10 Python, of 20,000
// functions, of which all is known.
func fill(j *Join, stacks int) {
	r := rand.New(rand.NewPCG(1, 2))
	kernelID := libpf.NewFileID(1, 0)
	j.Executable(kernelID, "vmlinux", "0123456789abcdef")
	for i := range uint64(2000) {
		j.FallbackSymbol(libpf.NewFrameID(kernelID, libpf.AddressOrLineno(i)), "do_sys_"+strconv.FormatUint(i, 10))
	}
	for i := range uint64(40) {
		j.Executable(libpf.NewFileID(2, i), "lib"+strconv.FormatUint(i, 10)+".so", "0123456789abcdef")
	}
	for i := range uint64(9000) {
		j.Frame(libpf.NewFileID(3, i/30), libpf.AddressOrLineno(i), libpf.SourceLineno(100+i), 7,
			"Class.method"+strconv.FormatUint(i, 10), "/srv/app/module"+strconv.FormatUint(i/30, 10)+".py")
	}
	for i := range stacks {
		t := &libpf.Trace{Hash: busyHash(i)}
		for range 4 {
			t.AppendFrame(libpf.KernelFrame, kernelID, libpf.AddressOrLineno(r.Uint64N(2000)))
		}
		for range 10 {
			at := r.Uint64N(9000)
			t.AppendFrame(libpf.NativeFrame, libpf.NewFileID(2, at%40), libpf.AddressOrLineno(at))
		}
		for range 10 {
			at := r.Uint64N(9000)
			t.AppendFrame(libpf.PythonFrame, libpf.NewFileID(3, at/30), libpf.AddressOrLineno(at))
		}
		j.Trace(t)
	}
}

// Nothing changed: a look-up and no allocation. A known stack and known facts that are
// reported again allocate nothing either, and nor does a stack that news left alone.
func TestAllocations(t *testing.T) {
	j := New(Config{})
	fill(j, 10)
	for i := range 10 {
		j.Resolve(busyHash(i))
	}
	again := one(libpf.NativeFrame, app, 1)
	j.Trace(again)
	spare := uint64(0)
	for _, c := range []struct {
		name string
		call func()
		want float64
	}{
		{"Resolve", func() { j.Resolve(busyHash(3)) }, 0},
		{"Resolve of nothing", func() { j.Resolve(busyHash(11)) }, 0},
		{"Trace again", func() { j.Trace(again) }, 0},
		{"Executable again", func() { j.Executable(libpf.NewFileID(1, 0), "vmlinux", "0123456789abcdef") }, 0},
		{"Frame again", func() { j.Frame(libpf.NewFileID(3, 0), 0, 100, 7, "Class.method0", "/srv/app/module0.py") }, 0},
		{"FallbackSymbol again", func() { j.FallbackSymbol(libpf.NewFrameID(libpf.NewFileID(1, 0), 0), "do_sys_0") }, 0},
		{"Resolve after news of others", func() {
			spare++
			j.Frame(libpf.NewFileID(9, 9), 1, libpf.SourceLineno(spare), 0, "", "") // in place from the second on
			j.Resolve(busyHash(3))
		}, 0},
	} {
		c.call()
		if got := testing.AllocsPerRun(100, c.call); got != c.want {
			t.Errorf("%s: %v allocations, expected %v", c.name, got, c.want)
		}
	}
}

// BenchmarkResolve asks for 50,000 stacks of 24 frames in turn, as a flush does, after
// nothing changed, after one fact did (at each flush), and one stack of which all 24
// frames are looked up again each time.
func BenchmarkResolve(b *testing.B) {
	const stacks = 50_000
	j := New(Config{})
	fill(j, stacks)
	for i := range stacks {
		j.Resolve(busyHash(i))
	}
	news := libpf.SourceLineno(0)
	tell := func() { news++; j.Frame(libpf.NewFileID(9, 9), 1, news, 0, "", "") }
	b.Run("unchanged", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			j.Resolve(busyHash(i % stacks))
		}
	})
	b.Run("a flush after a change", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%stacks == 0 {
				tell()
			}
			j.Resolve(busyHash(i % stacks))
		}
	})
	b.Run("changed each time", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			tell()
			j.Resolve(busyHash(i % stacks))
		}
	})
	b.Run("first time", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%stacks == 0 {
				b.StopTimer()
				j = New(Config{})
				fill(j, stacks)
				b.StartTimer()
			}
			j.Resolve(busyHash(i % stacks))
		}
	})
}
