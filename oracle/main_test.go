package oracle

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func TestMain(m *testing.M) {
	code := testkit.Checked(m).Run()
	tally.print()
	os.Exit(code)
}

// tally counts what was compared.
var tally = counts{notYet: map[string]int{}}

type counts struct {
	mu       sync.Mutex
	compared int
	requests int
	listed   int
	pending  int
	notYet   map[string]int
}

func (c *counts) add(count func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	count()
}

func (c *counts) print() {
	fmt.Printf("oracle: %d cases compared on %d requests, %d with a listed difference, %d with one that is not decided\n", c.compared, c.requests, c.listed, c.pending)
	for _, typ := range slices.Sorted(maps.Keys(c.notYet)) {
		fmt.Printf("oracle: not yet in penstock, run in contrib only: %s, %d cases\n", typ, c.notYet[typ])
	}
}
