package selfobs

// Change is a change of the log, the metrics or the traces that is prepared: what can
// fail has been done, and nothing is in effect yet. One of the functions is called once.
// Both are nil if there is nothing to do.
type Change struct {
	// Apply puts the change in effect. It cannot fail.
	Apply func()
	// Undo gives up what was prepared.
	Undo func()
	// NeedsRestart are the keys, below service.telemetry, whose change takes effect at the
	// next start.
	NeedsRestart []string
}
