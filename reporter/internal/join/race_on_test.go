//go:build race

package join

// The race detector makes allocations larger, and everything slow.
const raceEnabled = true
