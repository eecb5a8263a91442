//go:build race

package funcs_test

// raceEnabled: package sync drops what a pool keeps at random, so that allocations vary.
const raceEnabled = true
