package otlp_test

import (
	"math/rand/v2"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// The items of the parts of a request add up to what Check counts, at every level.
func TestCountItems(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range otlp.Signals() {
		for range 200 {
			request := testkit.Request(rng, s, rng.IntN(30))
			items, err := otlp.Check(s, request)
			if err != nil {
				t.Fatal(err)
			}
			sums := map[otlp.Part]int{}
			for _, rx := range fields(request, otlpfield.RequestResources) {
				sums[otlp.PartResource] += otlp.CountItems(s, otlp.PartResource, rx)
				for _, sx := range fields(rx, otlpfield.ResourceXScopes) {
					sums[otlp.PartScope] += otlp.CountItems(s, otlp.PartScope, sx)
					for _, item := range fields(sx, otlpfield.ScopeXItems) {
						sums[otlp.PartItem] += otlp.CountItems(s, otlp.PartItem, item)
					}
				}
			}
			for part, n := range sums {
				if n != items {
					t.Fatalf("%s: %d items in all parts %d, want %d", s, n, part, items)
				}
			}
		}
	}
}

func fields(m []byte, num uint32) (all [][]byte) {
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		if c.Num == num && c.Type == wire.TypeBytes {
			all = append(all, c.Bytes)
		}
	}
	return all
}
