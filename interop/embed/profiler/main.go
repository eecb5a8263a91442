// Command profiler embeds the reporter: it sends three samples to the OTLP server
// that its argument names. It has a gzip of its own registered with gRPC and a
// memory limit of its own, and fails if the reporter changed one of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/encoding"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

const memoryLimit = 1 << 30

// ownGzip stands for a compressor that the program uses elsewhere.
type ownGzip struct{ encoding.Compressor }

func (ownGzip) Name() string { return "gzip" }

// before is what the imports left: nothing may be registered or limited by them.
var before = unchanged(nil, math.MaxInt64)

func init() {
	encoding.RegisterCompressor(ownGzip{})
	debug.SetMemoryLimit(memoryLimit)
}

func main() {
	if err := errors.Join(before, report(os.Args[1]), unchanged(ownGzip{}, memoryLimit)); err != nil {
		log.Fatal(err)
	}
	fmt.Println("gRPC's gzip and the memory limit are as they were")
}

func unchanged(gzip encoding.Compressor, limit int64) error {
	if c := encoding.GetCompressor("gzip"); c != gzip {
		return fmt.Errorf("gRPC's gzip is %T, want %T", c, gzip)
	}
	if n := debug.SetMemoryLimit(-1); n != limit {
		return fmt.Errorf("the memory limit is %d, want %d", n, limit)
	}
	return nil
}

func report(endpoint string) error {
	rep, err := reporter.NewOTLP(reporter.OTLPConfig{Endpoint: endpoint, Insecure: true, Name: "profiler"})
	if err != nil {
		return err
	}
	if err := rep.Start(context.Background()); err != nil {
		return err
	}
	var stack libpf.Frames
	stack.Append(libpf.Frame{Type: libpf.GoFrame, FunctionName: "main.main", SourceFile: "main.go", SourceLine: 42})
	cpu := samples.CPU(20)
	for range 3 {
		meta := samples.TraceEventMeta{Timestamp: time.Now().UnixNano(), Origin: cpu, ProcessName: "profiler"}
		if err := rep.ReportTraceEvent(&samples.Trace{Frames: stack}, &meta); err != nil {
			return err
		}
	}
	rep.Stop() // sends what is left
	s := rep.Stats().Samples
	fmt.Printf("%d samples reported, %d acknowledged\n", s.Reported, s.Acknowledged)
	return nil
}
