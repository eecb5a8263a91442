// Package profcheck is empty. It stands in for a module that only the tests of
// the eBPF profiler's reporter import, which nobody runs here, and that not every
// module proxy has: go mod tidy wants to see it all the same.
package profcheck
