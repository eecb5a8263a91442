package testkit

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/compress"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// settleFor is how long batches and goroutines may take to go after the last
// test: long enough for a slow machine, since only a run that fails waits so long.
const settleFor = 30 * time.Second

// Main runs a package's tests and fails the run if a batch was not released or a
// goroutine is still running at its end:
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
//
// A package that testkit imports calls it from its external test package. Built
// with the tag "poison" it prints where each such batch was made. ignore names
// goroutines that are meant to stay. All encodings are registered with gRPC, for
// the servers and clients of tests.
func Main(m *testing.M, ignore ...goleak.Option) {
	os.Exit(Checked(m, ignore...).Run())
}

// Checked returns tests whose Run does what Main does, and returns the exit code
// instead of exiting: for runners that wrap a package's tests.
func Checked(m Runner, ignore ...goleak.Option) Runner { return checked{m, ignore} }

// Runner is a *testing.M, or what wraps one.
type Runner interface{ Run() int }

type checked struct {
	Runner
	ignore []goleak.Option
}

func (c checked) Run() int {
	RegisterGRPCEncodings()
	return verdict(c.Runner.Run, os.Stderr, settleFor, c.ignore...)
}

// RegisterGRPCEncodings registers what a Backend takes over gRPC, for a TestMain
// that does not call Main.
func RegisterGRPCEncodings() { compress.RegisterGRPC(config.GRPCEncodings()...) }

// verdict runs the tests and returns the exit code.
func verdict(run func() int, out io.Writer, timeout time.Duration, ignore ...goleak.Option) int {
	if code := run(); code != 0 {
		return code
	}
	deadline := time.Now().Add(timeout)
	for pipeline.Live() != 0 && time.Now().Before(deadline) {
		runtime.GC() // grpc-go leaves some buffers of broken connections to the garbage collector
		time.Sleep(10 * time.Millisecond)
	}
	code := 0
	if n := pipeline.Live(); n != 0 {
		code = 1
		fmt.Fprintf(out, "testkit: %d batches were not released (the tag \"poison\" tells where they were made)\n", n)
		for _, stack := range pipeline.LiveStacks() {
			fmt.Fprintf(out, "\n%s", stack)
		}
	}
	err := goleak.Find(ignore...)
	for err != nil && time.Now().Before(deadline) {
		err = goleak.Find(ignore...)
	}
	if err != nil {
		code = 1
		fmt.Fprintf(out, "testkit: goroutines are still running: %v\n", err)
	}
	return code
}
