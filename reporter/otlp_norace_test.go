//go:build !race

package reporter

const raceDetector = false
