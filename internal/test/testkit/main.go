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
// test.
const settleFor = 5 * time.Second

// Main runs a package's tests and fails the run if a batch was not released or a
// goroutine is still there at its end:
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
//
// Built with the tag "poison" it prints where each such batch was made. ignore
// names goroutines that are meant to stay. All encodings are registered with gRPC,
// for the servers and clients of tests.
func Main(m *testing.M, ignore ...goleak.Option) {
	RegisterGRPCEncodings()
	os.Exit(verdict(m.Run, os.Stderr, settleFor, ignore...))
}

// RegisterGRPCEncodings registers what a Backend takes over gRPC, for a TestMain
// that does not call Main.
func RegisterGRPCEncodings() { compress.RegisterGRPC(config.GRPCEncodings()...) }

func verdict(run func() int, out io.Writer, patience time.Duration, ignore ...goleak.Option) int {
	if code := run(); code != 0 {
		return code
	}
	for deadline := time.Now().Add(patience); pipeline.Live() != 0 && time.Now().Before(deadline); {
		runtime.GC() // some buffers come back when the collector finds them
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
	if err := goleak.Find(ignore...); err != nil {
		code = 1
		fmt.Fprintf(out, "testkit: goroutines are left: %v\n", err)
	}
	return code
}
