//go:build planted

package journal

import "sync/atomic"

// plantedNow is the fault that is planted.
var plantedNow atomic.Uint32

func planted(f fault) bool { return plantedNow.Load() == uint32(f) }
