// Package profcheck is empty. It replaces a module that only the tests of the
// eBPF profiler's reporter import. Those tests are not run here, and not every
// module proxy has the module, but go mod tidy needs it.
package profcheck
