//go:build race

package functions

// raceEnabled: package sync drops what a pool keeps at random, so that allocations vary.
const raceEnabled = true
