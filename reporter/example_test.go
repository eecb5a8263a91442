package reporter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
	"unique"

	pprof "github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/reporter"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// printSamples is a consumer of requests of few samples.
func printSamples(_ context.Context, b *pipeline.Batch) error {
	for resource := range otlp.ExportProfilesServiceRequest(b.Bytes()).ResourceProfiles().All() {
		for scope := range resource.ScopeProfiles().All() {
			for p := range scope.Profiles().All() {
				for s := range p.Samples().All() {
					fmt.Println("a stack: times", s.TimestampsUnixNano().Len(), "values", slices.Collect(s.Values().All()))
				}
			}
		}
	}
	return nil
}

// A profiler reports each sample with everything that it knows of it. Equal stacks
// are added up and sent on the interval, here to a consumer in this program, and
// otherwise to OTLPConfig.Endpoint.
func ExampleOTLPReporter() {
	r, err := reporter.NewOTLP(reporter.OTLPConfig{Consumer: pipeline.ConsumerFunc(printSamples), SamplesPerSecond: 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := r.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	stack := libpf.Frames{unique.Make(libpf.Frame{Type: libpf.GoFrame, FunctionName: "main.work", SourceFile: "main.go", SourceLine: 17})}
	for range 3 {
		err := r.ReportTraceEvent(&samples.Trace{Frames: stack}, &samples.TraceEventMeta{
			Timestamp: time.Now().UnixNano(), Origin: samples.CPU(20), Comm: "demo", PID: 7, TID: 7,
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	r.Stop() // sends what is left
	s := r.Stats().Samples
	fmt.Printf("reported %d, acknowledged %d, held %d, dropped %d\n", s.Reported, s.Acknowledged, s.Held, len(s.Dropped))
	// Output:
	// a stack: times 3 values []
	// reported 3, acknowledged 3, held 0, dropped 0
}

// With a spool, what cannot be sent is on disk, and the next process sends it.
func ExampleOTLPConfig_spool() {
	dir, err := os.MkdirTemp("", "spool") // a profiler has a folder of its own that stays
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	down := func(context.Context, *pipeline.Batch) error { return errors.New("the backend is down") }
	for _, backend := range []pipeline.ConsumerFunc{down, printSamples} {
		r, err := reporter.NewOTLP(reporter.OTLPConfig{Consumer: backend, SpoolDir: dir, StopTimeout: time.Second})
		if err == nil {
			err = r.Start(context.Background())
		}
		if errors.Is(err, journal.ErrLocked) {
			fmt.Println("another process has the folder:", err)
			return
		} else if err != nil {
			fmt.Println(err)
			return
		}
		if r.Stats().Samples.Restored == 0 {
			if err := r.ReportTraceEvent(&samples.Trace{}, &samples.TraceEventMeta{Timestamp: time.Now().UnixNano(), Origin: samples.CPU(20)}); err != nil {
				fmt.Println(err)
			}
		}
		r.Stop()
		s := r.Stats().Samples
		fmt.Printf("reported %d, restored %d, acknowledged %d, held %d\n", s.Reported, s.Restored, s.Acknowledged, s.Held)
	}
	// Output:
	// reported 1, restored 0, acknowledged 0, held 1
	// a stack: times 1 values []
	// reported 0, restored 1, acknowledged 1, held 0
}

// A whole profile in pprof's format is reported in one call.
func ExampleOTLPReporter_ReportPprof() {
	r, err := reporter.NewOTLP(reporter.OTLPConfig{Consumer: pipeline.ConsumerFunc(printSamples)})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := r.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	work := &pprof.Function{ID: 1, Name: "main.work"}
	at := &pprof.Location{ID: 1, Line: []pprof.Line{{Function: work, Line: 17}}}
	p := &pprof.Profile{
		SampleType: []*pprof.ValueType{{Type: "alloc_space", Unit: "bytes"}},
		Sample:     []*pprof.Sample{{Location: []*pprof.Location{at}, Value: []int64{4096}}},
		Location:   []*pprof.Location{at}, Function: []*pprof.Function{work},
	}
	if err := r.ReportPprof(context.Background(), p, reporter.PprofMeta{}); err != nil {
		fmt.Println(err)
	}
	r.Stop()
	fmt.Println("acknowledged", r.Stats().Samples.Acknowledged)
	// Output:
	// a stack: times 0 values [4096]
	// acknowledged 1
}

// A program profiles itself with one line: defer reporter.ProfileSelf(reporter.SelfConfig{})().
// The profiles are sent to where OTEL_EXPORTER_OTLP_ENDPOINT says, or to localhost:4317, here
// to a consumer in this program.
func ExampleProfileSelf() {
	sampleTypes := pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
		dictionary := otlp.DictionaryOf(otlp.Profiles, b.Bytes())
		for group := range otlp.Groups(b.Bytes()) {
			for profile := range group.Items.All() {
				fmt.Printf("profile of type %s\n", dictionary.String(otlp.Profile(profile).SampleType().TypeStrindex()))
			}
		}
		return nil
	})
	stop := reporter.ProfileSelf(reporter.SelfConfig{
		OTLPConfig:  reporter.OTLPConfig{Consumer: sampleTypes},
		ServiceName: "shop", Profiles: []string{"goroutine"},
	})
	defer stop() // sends what is left
	fmt.Println("the program does its work")
	// Output:
	// the program does its work
	// profile of type goroutine
}
