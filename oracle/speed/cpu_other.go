//go:build !unix

package main

import "time"

var start = time.Now()

// cpuTime returns the time since the start: the CPU time is not available.
func cpuTime() time.Duration { return time.Since(start) }
