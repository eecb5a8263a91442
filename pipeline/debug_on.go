//go:build poison

package pipeline

import (
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/penstock-telemetry/penstock/otlp"
)

var (
	liveMu    sync.Mutex
	liveBorns = map[*Batch]string{}
)

type liveTrace struct{}

func (liveTrace) born(b *Batch) {
	liveMu.Lock()
	defer liveMu.Unlock()
	liveBorns[b] = string(debug.Stack())
}

func (liveTrace) died(b *Batch) {
	liveMu.Lock()
	defer liveMu.Unlock()
	delete(liveBorns, b)
}

// verifyDerived holds a rewriting processor to its word.
func verifyDerived(s otlp.Signal, data []byte, items int) {
	n, err := otlp.Check(s, data)
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
