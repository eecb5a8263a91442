package amplify

import (
	"strings"
	"testing"
)

// No input takes much more CPU time for each byte than the costliest known ones, which
// are in docs/memory.md. The limits are several times as much, so that they hold on slow
// and busy machines, too; the time is the least of twelve. The texts of debug end after
// 1 MiB, however small the request is, and resource may make requests larger.
func TestCostOfAByte(t *testing.T) {
	const size, limit, limitOfResource, limitOfDebug = 8 << 10, 400, 1500, 4000
	targets, stop, err := Targets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for i := range targets {
		target := &targets[i]
		t.Run(target.Name, func(t *testing.T) {
			most := float64(limit)
			switch {
			case strings.Contains(target.Name, "debug"):
				most = limitOfDebug
			case strings.Contains(target.Name, "resource"):
				most = limitOfResource
			}
			valid := 0
			for _, f := range target.Formats {
				for _, k := range f.Kinds() {
					cost, ok := target.Cost(f, k.Request(size), most)
					if ok {
						valid++
					}
					if cost > most {
						t.Errorf("%s: %.0f ns for each byte, at most %.0f are expected", k, cost, most)
					}
				}
			}
			if valid < 500 {
				t.Errorf("only %d inputs are valid", valid)
			}
		})
	}
}

// An input that is 16 times as large takes 16 times as long, and not much more.
func TestCostIsLinear(t *testing.T) {
	const (
		small, large = 64 << 10, 1 << 20
		most         = 4   // times as much for each byte
		every        = 397 // of the kinds, and all amplifiers
	)
	targets, stop, err := Targets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for i := range targets {
		target := &targets[i]
		t.Run(target.Name, func(t *testing.T) {
			for _, f := range target.Formats {
				for n, k := range f.Kinds() {
					if k.amplifier == nil && n%every != 0 {
						continue
					}
					a, ok := target.Cost(f, k.Request(small), 0)
					b, okay := target.Cost(f, k.Request(large), most*a)
					if ok && okay && b > most*a && b > 5 {
						t.Errorf("%s: %.1f ns for each byte of %d, %.1f of %d", k, a, small, b, large)
					}
				}
			}
		})
	}
}
