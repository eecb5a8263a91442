// Command runtimepprof profiles its own CPU with runtime/pprof, in windows of some
// seconds, and sends each as OTLP profiles. Any Go program can profile itself in
// this way. To profile other programs see the receiver pprof and penstock report.
//
//	penstock &
//	go run ./examples/runtimepprof -to localhost:4317 -for 10s
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter"
)

func main() {
	to := flag.String("to", "localhost:4317", "destination: host:port for OTLP/gRPC, a URL for OTLP/HTTP")
	runFor := flag.Duration("for", 10*time.Second, "how long to run")
	window := flag.Duration("window", 2*time.Second, "duration of one profile")
	flag.Parse()
	if err := run(*to, *runFor, *window); err != nil {
		fmt.Fprintln(os.Stderr, "runtimepprof:", err)
		os.Exit(1)
	}
}

func run(to string, runFor, window time.Duration) error {
	rep, err := reporter.NewOTLP(reporter.OTLPConfig{
		Endpoint: to, Insecure: true, Compression: "zstd",
		Name: "examples/runtimepprof", Version: "1", Logger: slog.Default(),
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
	for ctx.Err() == nil {
		p, err := cpuProfile(ctx, window)
		if err != nil {
			return err
		}
		if err := rep.ReportPprof(context.WithoutCancel(ctx), p, reporter.PprofMeta{Resource: libpf.NewAttributes(
			libpf.StringAttr("service.name", "runtimepprof"), libpf.IntAttr("process.pid", int64(os.Getpid())),
		)}); err != nil {
			return err
		}
	}
	rep.Stop() // sends what is left
	s := rep.Stats().Samples
	fmt.Printf("%d samples reported, %d acknowledged, dropped: %v\n", s.Reported, s.Acknowledged, s.Dropped)
	return nil
}

// cpuProfile profiles this program for a while.
func cpuProfile(ctx context.Context, window time.Duration) (*profile.Profile, error) {
	var raw bytes.Buffer
	if err := pprof.StartCPUProfile(&raw); err != nil {
		return nil, err
	}
	select {
	case <-time.After(window):
	case <-ctx.Done():
	}
	pprof.StopCPUProfile()
	return profile.Parse(&raw)
}

// work uses the CPU, with a label that appears in the profile.
func work(ctx context.Context) {
	pprof.Do(ctx, pprof.Labels("task", "hashing"), func(ctx context.Context) {
		sum := sha256.Sum256([]byte("penstock"))
		for ctx.Err() == nil {
			for range 1000 {
				sum = sha256.Sum256(sum[:])
			}
		}
	})
}
