package main

import (
	"fmt"
	"math/rand/v2"
)

// workload is the data to report, independent of the types of both reporters.
type workload struct {
	mappings []mapping
	frames   []frame
	stacks   [][]int32 // of frames, leaf first
	metas    []meta
	metaOf   []int32 // index in metas, by stack
}

type (
	mapping struct {
		file         string
		id           uint64
		start, limit uint64
	}
	frame struct {
		function, file string
		line           int
		mapping        int
		address        uint64
	}
	// meta is a thread of a process. A thread always runs on the same
	// processor.
	meta struct {
		comm, path, container string
		pid, tid, cpu         int64
	}
)

const (
	depth     = 24
	functions = 20_000
	processes = 8
	threads   = 8 // of each process
	epoch     = 1_790_000_000_000_000_000
	window    = 5e9 // ns that the events are spread over
)

// newWorkload returns stacks of several programs, one for each process: paths in
// the call graph of a program, from a root to a leaf. The result is deterministic.
func newWorkload(stacks int) *workload {
	r := rand.New(rand.NewPCG(1, 2))
	w := &workload{}
	for i := range processes {
		w.mappings = append(w.mappings, mapping{fmt.Sprintf("service-%d", i), uint64(i + 1), 0x400000, 0x4000000})
		for j := range threads {
			w.metas = append(w.metas, meta{
				comm: fmt.Sprintf("worker-%d", j), path: fmt.Sprintf("/usr/local/bin/service-%d", i),
				container: fmt.Sprintf("%064x", i+1), pid: int64(4000 + i), tid: int64(4000 + 100*i + j), cpu: int64(j),
			})
		}
	}
	w.program(r)
	calls := make([][4]int32, functions)
	for i := range calls {
		for j := range calls[i] {
			calls[i][j] = pick(r, functions, i%processes)
		}
	}
	for i := range stacks {
		s, m := make([]int32, depth), i%len(w.metas)
		at := pick(r, 16*processes, m/threads)
		for j := depth - 1; j >= 0; j-- {
			s[j] = at
			at = calls[at][r.IntN(4)]
		}
		w.stacks, w.metaOf = append(w.stacks, s), append(w.metaOf, int32(m))
	}
	return w
}

// pick returns one of the first n functions of a process.
func pick(r *rand.Rand, n, process int) int32 {
	return r.Int32N(int32(n/processes))*processes + int32(process)
}

var (
	nouns = []string{"Request", "Session", "Account", "Order", "Cache", "Index", "Buffer", "Stream", "Table", "Query", "Token", "Message"}
	verbs = []string{"read", "write", "flush", "encode", "decode", "lookup", "insert", "remove", "merge", "validate", "handle", "close"}
)

// program creates functions with names like those of Go programs.
func (w *workload) program(r *rand.Rand) {
	for i := range functions {
		pkg, noun, verb := i/200, nouns[r.IntN(len(nouns))], verbs[r.IntN(len(verbs))]
		w.frames = append(w.frames, frame{
			function: fmt.Sprintf("example.com/shop/internal/package%d.(*%s%d).%s%s", pkg, noun, i%20, verb, nouns[i%len(nouns)]),
			file:     fmt.Sprintf("/src/example.com/shop/internal/package%d/%s%d.go", pkg, verb, i%20),
			line:     10 + r.IntN(900), mapping: i % processes, address: 0x401000 + uint64(i)*176,
		})
	}
}

// times returns the times of n events, in order and at irregular intervals.
func times(n int) []uint64 {
	r := rand.New(rand.NewPCG(3, 4))
	step := uint64(window) / uint64(n)
	t := make([]uint64, n)
	for i := range t {
		t[i] = epoch + uint64(i)*step + r.Uint64N(step)
	}
	return t
}
