//go:build poison

package pipeline

import (
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/penstock-telemetry/penstock/otlp"
)

var (
	liveMu    sync.Mutex
	liveBorns = map[*Batch]string{}
)

type liveTrace struct{ liveBytes }

func (liveTrace) born(b *Batch) {
	liveMu.Lock()
	defer liveMu.Unlock()
	liveBorns[b] = string(debug.Stack())
}

func (l *liveTrace) died(b *Batch) {
	l.holds(0)
	liveMu.Lock()
	defer liveMu.Unlock()
	delete(liveBorns, b)
}

// alive counts the bytes of memory of batches and buffers whose ticket pays for them,
// and changes how often it has changed.
var alive, changes atomic.Int64

// liveBytes is what one batch or buffer has of alive.
type liveBytes struct{ n int }

// holds sets what the batch or buffer has: after it was charged, and before it is
// discharged.
func (l *liveBytes) holds(n int) {
	if n != l.n {
		alive.Add(int64(n - l.n))
		changes.Add(1)
		l.n = n
	}
}

// holdsOf is holds with the sizes of pieces of memory of a buffer.
func (l *liveBytes) holdsOf(buf *Buffer, pieces ...*[]byte) {
	if buf.batch == nil || buf.batch.payer().ticket == nil {
		return
	}
	n := 0
	for _, p := range pieces {
		if p != nil {
			n += cap(*p)
		}
	}
	l.holds(n)
}

// AliveBytes returns the bytes of memory of batches and buffers that tickets pay for,
// and how often they have changed: if the number is the same before and after a look at
// the budget, both were true at one time.
func AliveBytes() (bytes, changed int64) {
	changed = changes.Load()
	return alive.Load(), changed
}

// bytesSum detects bytes that were changed since their compressed form was made.
type bytesSum struct {
	sum uint64
	set bool
}

// seed is that of all sums.
var seed = maphash.MakeSeed()

func sumOf(b []byte) bytesSum { return bytesSum{maphash.Bytes(seed, b), true} }

// verify panics if b was changed without Batch.Edit.
func (s bytesSum) verify(b []byte) {
	if s.set && s != sumOf(b) {
		panic("pipeline: the bytes of a batch were changed without Edit, and its compressed form was not")
	}
}

// verifyDerived holds a rewriting processor to its word.
func verifyDerived(s otlp.Signal, data []byte, items int) {
	n, err := otlp.Limits{Depth: otlp.MaxDepth}.Check(s, data)
	if err != nil {
		panic(fmt.Sprintf("pipeline: derived request is invalid: %v", err))
	}
	if n != items {
		panic(fmt.Sprintf("pipeline: derived request holds %d items, its writer said %d", n, items))
	}
}

// LiveStacks returns where each unreleased batch was made.
func LiveStacks() []string {
	liveMu.Lock()
	defer liveMu.Unlock()
	var out []string
	for _, s := range liveBorns {
		out = append(out, s)
	}
	return out
}
