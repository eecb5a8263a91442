package profile

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
	"unique"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// someStacks returns n stacks of depth frames over a program of so many functions.
func someStacks(n, depth, functions int) []libpf.Frames {
	r := rand.New(rand.NewPCG(1, 2))
	m := unique.Make(libpf.Mapping{FileName: "program", Start: 0x400000, Limit: 0x4000000, FileID: libpf.NewFileID(1, 2)})
	all := make(libpf.Frames, functions)
	for i := range all {
		all[i] = unique.Make(libpf.Frame{Type: libpf.GoFrame, Mapping: m, Address: libpf.AddressOrLineno(0x400000 + 64*i),
			FunctionName: fmt.Sprintf("github.com/example/program/package%d.(*Type%d).method%d", i%50, i%300, i),
			SourceFile:   fmt.Sprintf("/src/program/package%d/file%d.go", i%50, i%300), SourceLine: libpf.SourceLineno(i % 2000)})
	}
	list := make([]libpf.Frames, n)
	for i := range list {
		for range depth {
			list[i] = append(list[i], all[r.IntN(functions)])
		}
	}
	return list
}

func BenchmarkEventKnownStack(b *testing.B) {
	stacks := someStacks(1000, 24, 5000)
	origin := samples.CPU(20)
	s := New(Config{MaxBytes: 1 << 40}, time.Now())
	m := samples.TraceEventMeta{Timestamp: 1, Origin: origin, Comm: "worker", TID: 17, CPU: 3, PID: 12, ExecutablePath: "/usr/bin/program", ContainerID: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Timestamp++
		s.Event(stacks[i%len(stacks)], nil, &m)
		if i&0xfffff == 0xfffff {
			b.StopTimer()
			s.Take(time.Now()).release()
			b.StartTimer()
		}
	}
}

func BenchmarkCountParallel(b *testing.B) {
	s := New(Config{MaxBytes: 1 << 40}, time.Now())
	origin := samples.CPU(20)
	b.SetParallelism(4)
	b.ReportAllocs()
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		m := samples.TraceEventMeta{Timestamp: 1, Origin: origin, Comm: "worker", PodName: "pod-123456", ContainerName: "container-1", NoThread: true}
		h := libpf.NewTraceHash(uint64(n.Add(1)), 77)
		for pb.Next() {
			s.Count(h, &m, 1)
		}
	})
}

func fill(s *Store, stacks []libpf.Frames, events int) {
	m := samples.TraceEventMeta{Origin: samples.CPU(20), Comm: "worker", TID: 17, CPU: 3, PID: 12, ExecutablePath: "/usr/bin/program"}
	for i := range events {
		m.Timestamp = 1700000000e9 + int64(i)*1000
		s.Event(stacks[i%len(stacks)], nil, &m)
	}
}

func BenchmarkWriteMillion(b *testing.B) {
	stacks := someStacks(50_000, 24, 20_000)
	s := New(Config{MaxBytes: 1 << 40}, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		fill(s, stacks, 1_000_000)
		b.StartTimer()
		n := 0
		s.Take(time.Now()).Write(Options{MaxRequestBytes: 64 << 20, ScopeName: "x"}, func(r Request) { n += len(r.Bytes) })
		b.ReportMetric(float64(n), "bytes")
	}
}
