package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// The pipelines of most tests: one receiver feeds two of them, and a connector
// leads from the second to the third.
const threePipelines = `
receivers: {in: , in/2: }
processors: {step: , step/2: , step/3: }
exporters: {out: , out/2: }
connectors: {forward: }
service:
  pipelines:
    traces: {receivers: [in], processors: [step, step/2], exporters: [out]}
    traces/front: {receivers: [in, in/2], processors: [step/2], exporters: [out/2, forward]}
    traces/back: {receivers: [forward], processors: [step/3], exporters: [out]}
    logs: {receivers: [in], exporters: [out]}
`

func TestStartsBackToFrontAndStopsFrontToBack(t *testing.T) {
	t.Parallel()
	f := newFakes()
	s := f.service(t, threePipelines)
	for range 2 {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const started = "start out; start out/2; start step/2; start step; start step/3; start step/2; start in; start in/2"
	if diff := cmp.Diff(started, f.take()); diff != "" {
		t.Errorf("start (-want +got):\n%s", diff)
	}
	if !s.ready.Load() {
		t.Error("not ready after Start")
	}
	for range 2 {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const stopped = "stop in/2; stop in; stop step/2; stop step/3; stop step; stop step/2; stop out/2; stop out"
	if diff := cmp.Diff(stopped, f.take()); diff != "" {
		t.Errorf("stop (-want +got):\n%s", diff)
	}
	if s.ready.Load() {
		t.Error("ready after Shutdown")
	}
	if err := s.Start(t.Context()); err == nil {
		t.Error("Start after Shutdown succeeds")
	}
}

func TestShutdownWithoutStart(t *testing.T) {
	t.Parallel()
	f := newFakes()
	s := f.service(t, threePipelines)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := f.take(); got != "" {
		t.Errorf("unexpected events: %s", got)
	}
}

func TestFailedStartStopsWhatWasStarted(t *testing.T) {
	t.Parallel()
	for broken, want := range map[string]string{
		"receivers.in/2":    "start out; start out/2; start step/2; start step; start step/3; start step/2; start in; stop in; stop step/2; stop step/3; stop step; stop step/2; stop out/2; stop out",
		"receivers.in":      "start out; start out/2; start step/2; start step; start step/3; start step/2; stop step/2; stop step/3; stop step; stop step/2; stop out/2; stop out",
		"processors.step/3": "start out; start out/2; start step/2; start step; stop step; stop step/2; stop out/2; stop out",
		"exporters.out/2":   "start out; stop out",
	} {
		f := newFakes()
		cfg, err := LoadFrom(f.options(), Sources{
			URIs: []string{"yaml:" + threePipelines},
			Set:  []string{"service.telemetry.metrics.level=none", strings.ReplaceAll(broken, ".", "::") + "::fail_start=refused"},
		})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(cfg, Options{Logger: component.Settings{}.OrDefaults().Logger})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Start(t.Context()); err == nil || err.Error() != "refused" {
				t.Errorf("%s: Start returned %v, want refused", broken, err)
			}
		}
		if diff := cmp.Diff(want, f.take()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", broken, diff)
		}
		if s.ready.Load() {
			t.Errorf("%s: ready", broken)
		}
		if err := s.Shutdown(t.Context()); err != nil || f.take() != "" {
			t.Errorf("%s: Shutdown after a failed Start has events, or returned %v", broken, err)
		}
	}
}

func TestStartWithCancelledContext(t *testing.T) {
	t.Parallel()
	f := newFakes()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("cancelled by the test"))
	err := f.service(t, threePipelines).Start(ctx)
	if err == nil || !strings.Contains(err.Error(), "cancelled by the test") || f.take() != "" {
		t.Errorf("Start returned %v", err)
	}
}

func TestOneReceiverAndOneExporterForAll(t *testing.T) {
	t.Parallel()
	f := newFakes()
	f.service(t, threePipelines)
	counts := map[string]int{}
	for id, made := range f.made {
		counts[id] = len(made)
	}
	want := map[string]int{"in": 1, "in/2": 1, "out": 1, "out/2": 1, "step": 1, "step/2": 2, "step/3": 1}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	if n := len(f.made["in"][0].consumers); n != 2 {
		t.Errorf("in has consumers for %d signals, want traces and logs", n)
	}
}

func TestBatchesReachTheirExporters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from   string
		signal otlp.Signal
		want   map[string]int // batches by component
	}{
		{"in", otlp.Traces, map[string]int{"step": 1, "step/2": 2, "step/3": 1, "out": 2, "out/2": 1}},
		{"in/2", otlp.Traces, map[string]int{"step/2": 1, "step/3": 1, "out": 1, "out/2": 1}},
		{"in", otlp.Logs, map[string]int{"out": 1}},
	} {
		f := newFakes()
		f.service(t, threePipelines)
		if err := f.send(t, c.from, c.signal); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for id, all := range f.made {
			for _, m := range all {
				if n := len(m.batches); n > 0 {
					got[id] += n
				}
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.from, c.signal, diff)
		}
	}
}

func TestErrorsNameTheirBranch(t *testing.T) {
	t.Parallel()
	f := newFakes()
	f.service(t, strings.NewReplacer("out/2: ", "out/2: {refuse: full}", "step/3: ", "step/3: {refuse: empty}").Replace(threePipelines))
	err := f.send(t, "in", otlp.Traces)
	const want = "1 of 2 branches failed: pipeline traces/front: " +
		"2 of 2 branches failed: exporter out/2: full; connector forward: empty"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// A single consumer costs nothing but the switches of the receiver and the exporter: no
// other wrapper stands before it.
func TestSingleBranchIsNotWrapped(t *testing.T) {
	t.Parallel()
	f := newFakes()
	f.service(t, threePipelines)
	var at pipeline.Consumer = f.made["in"][0].consumers[otlp.Logs]
	for range 2 {
		to, ok := at.(interface {
			Turn(pipeline.Consumer) *pipeline.Turned
		})
		if !ok {
			t.Fatalf("there is a %T in front of the only exporter", at)
		}
		at = to.Turn(pipeline.ConsumerFunc(nil)).Consumer()
	}
	if at != pipeline.Consumer(f.made["out"][0]) {
		t.Errorf("there is a %T in front of the only exporter", at)
	}
}

func TestNewReportsAllWithPositions(t *testing.T) {
	t.Parallel()
	f := newFakes()
	_, err := New(f.config(t, strings.NewReplacer("out: ", "out: {fail_new: bad out}",
		"step: ", "step: {fail_new: bad step}", "in: ", "in: {fail_new: bad in}").Replace(threePipelines)), Options{})
	var problems ConfigErrors
	if !errors.As(err, &problems) {
		t.Fatalf("%T: %v", err, err)
	}
	const want = `yaml::2:13: receivers.in: bad in
yaml::3:14: processors.step: bad step
yaml::4:13: exporters.out: bad out`
	if diff := cmp.Diff(want, problems.Error()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// An exporter that cannot be created is reported, whatever stands before it.
func TestNewReportsAnExporterBehindAFanOut(t *testing.T) {
	t.Parallel()
	f := newFakes()
	_, err := New(f.config(t, `
receivers: {in: }
processors: {step: }
exporters: {out: , out/bad: {fail_new: bad out}}
service:
  pipelines:
    traces: {receivers: [in], processors: [step], exporters: [out/bad]}
    traces/2: {receivers: [in], exporters: [out/bad]}
    traces/3: {receivers: [in], exporters: [out]}
`[1:]), Options{})
	if err == nil || !strings.HasSuffix(err.Error(), "exporters.out/bad: bad out") {
		t.Errorf("%v", err)
	}
	if next := f.made["step"][0].next; next == nil {
		t.Error("the processor was given no consumer")
	}
}

func TestShutdownReportsEveryFailure(t *testing.T) {
	t.Parallel()
	f := newFakes()
	s := f.service(t, strings.NewReplacer("out: ", "out: {fail_stop: bad out}", "in: ", "in: {fail_stop: bad in}").Replace(threePipelines))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := s.Shutdown(t.Context())
	if err == nil || err.Error() != "bad in\nbad out" {
		t.Errorf("Shutdown returned %v", err)
	}
	if got := f.take(); strings.Count(got, "stop") != 8 {
		t.Errorf("some components were not stopped: %s", got)
	}
}

// A component that ignores its deadline does not prevent others from stopping,
// nor the process from exiting.
func TestShutdownAbandonsHangingComponent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakes()
		s := f.service(t, strings.Replace(threePipelines, "step/3: ", "step/3: {hang: true}", 1))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.take()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		err := s.Shutdown(ctx)
		if took := time.Since(began); took != 12*time.Second {
			t.Errorf("it took %s", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `processor "step/3" of pipeline "traces/back"`) {
			t.Errorf("Shutdown returned %v", err)
		}
		if got := f.take(); !strings.HasSuffix(got, "stop step/2; too late; stop out/2; too late; stop out; too late") {
			t.Errorf("the other components were not stopped: %s", got)
		}
		close(f.hang)
	})
}

func TestRunStopsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakes()
		s := f.service(t, threePipelines)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run returned %v", err)
		}
		events := strings.Split(f.take(), "; ")
		if len(events) != 16 || !slices.Contains(events, "stop out") {
			t.Errorf("events %v", events)
		}
	})
}
