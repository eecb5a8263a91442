// Command embed is a minimal profiler: it samples the goroutines of its own
// program 20 times a second, and passes each stack to the reporter in one call
// with all its data, like current profilers.
//
//	penstock &
//	go run ./examples/embed -to localhost:4317 -for 10s
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

const samplesPerSecond = 20

func main() {
	to := flag.String("to", "localhost:4317", "destination: host:port for OTLP/gRPC, a URL for OTLP/HTTP")
	runFor := flag.Duration("for", 10*time.Second, "how long to run")
	flag.Parse()
	if err := run(*to, *runFor); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func run(to string, runFor time.Duration) error {
	rep, err := reporter.NewOTLP(reporter.OTLPConfig{
		Endpoint: to, Insecure: true,
		Name: "examples/embed", Version: "1",
		ReportInterval: 2 * time.Second,
		Resource:       libpf.NewAttributes(libpf.StringAttr("host.name", "here")),
		Logger:         slog.Default(),
	})
	if err != nil {
		return err
	}
	if err := rep.Start(context.Background()); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, runFor)
	defer cancel()

	go work(ctx)
	if err := sample(ctx, rep); err != nil {
		return err
	}
	rep.Stop() // sends what is left
	s := rep.Stats().Samples
	fmt.Printf("%d samples reported, %d acknowledged, dropped: %v\n", s.Reported, s.Acknowledged, s.Dropped)
	return nil
}

// sample reports the stacks of all goroutines until ctx ends.
func sample(ctx context.Context, rep *reporter.OTLPReporter) error {
	goroutines := &samples.Origin{SampleType: samples.ValueType{Type: "goroutines", Unit: "{goroutine}"}}
	tick := time.NewTicker(time.Second / samplesPerSecond)
	defer tick.Stop()
	records := make([]runtime.StackRecord, 1000)
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			n, ok := runtime.GoroutineProfile(records)
			if !ok {
				records = make([]runtime.StackRecord, 2*n)
				continue
			}
			for i := range records[:n] {
				meta := samples.TraceEventMeta{
					Timestamp: now.UnixNano(), Origin: goroutines, NoThread: true,
					PID: int64(os.Getpid()), ProcessName: "embed", APMServiceName: "embed",
				}
				if err := rep.ReportTraceEvent(&samples.Trace{Frames: frames(records[i].Stack())}, &meta); err != nil {
					return err
				}
			}
		}
	}
}

// frames resolves program counters. Equal frames share one handle, so a stack that
// occurred before costs little more than a comparison.
func frames(pcs []uintptr) (stack libpf.Frames) {
	for it := runtime.CallersFrames(pcs); ; {
		f, more := it.Next()
		if f.Function != "" {
			stack.Append(libpf.Frame{
				Type: libpf.GoFrame, FunctionName: f.Function, SourceFile: f.File, SourceLine: libpf.SourceLineno(f.Line),
			})
		}
		if !more {
			return stack
		}
	}
}

// work keeps some goroutines busy, so that there are stacks to sample.
func work(ctx context.Context) {
	for ctx.Err() == nil {
		_ = strings.Repeat("x", 1<<16)
		time.Sleep(time.Millisecond)
	}
}
