//go:build planted

package journal

import (
	"flag"
	"fmt"
	"sync/atomic"
	"testing"
)

// Each fault that is planted is found by one of the checks, which find nothing without.
//
//	go test -tags planted -run TestPlanted ./journal
func TestPlanted(t *testing.T) {
	checks := []struct {
		name  string
		check func() error
	}{
		{"lost tail", checkLostTail},
		{"superseded", checkSuperseded},
		{"close", func() error {
			for seed := range uint64(50) {
				if err := checkClose(seed); err != nil {
					return err
				}
			}
			return nil
		}},
		{"full disk", func() error {
			for c := int64(40 << 10); c < 100<<10; c += 4 << 10 {
				if err := checkFullDisk(c); err != nil {
					return fmt.Errorf("a disk of %d bytes: %w", c, err)
				}
			}
			return nil
		}},
		{"flipped bits", func() error { return checkFlips(997) }},
		{"power cuts", func() error {
			for seed := range uint64(6) {
				if err := checkPowerCuts(seed, new(atomic.Int64)); err != nil {
					return err
				}
			}
			return nil
		}},
		{"faults", func() error { return checkFaults(0) }},
	}
	for f := range faults {
		found := ""
		plantedNow.Store(uint32(f))
		for _, c := range checks {
			if err := c.check(); err != nil {
				found = c.name
				t.Logf("fault %d: %s: %.200v", f, c.name, err)
				break
			}
		}
		plantedNow.Store(0)
		if (found != "") != (f != 0) {
			t.Errorf("fault %d: found by %q", f, found)
		}
	}
}

var plant = flag.Uint("plant", 0, "the fault with which TestModelPlanted runs the model, which should fail")

// TestModelPlanted shows whether the model finds a fault: it fails then.
//
//	go test -tags planted -run TestModelPlanted ./journal -plant 3 -rapid.nofailfile -rapid.checks 1000
func TestModelPlanted(t *testing.T) {
	if *plant == 0 {
		t.Skip("no fault was chosen with -plant")
	}
	plantedNow.Store(uint32(*plant))
	defer plantedNow.Store(0)
	TestModel(t)
}
