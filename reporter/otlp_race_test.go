//go:build race

package reporter

// raceDetector slows everything down tenfold.
const raceDetector = true
