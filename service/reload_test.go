package service

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/penstock-telemetry/penstock/otlp"
)

// reload replaces the configuration of a service with fake components.
func (f *fakes) reload(t *testing.T, s *Service, yaml string) (*Reloaded, error) {
	t.Helper()
	r, err := s.Reload(t.Context(), f.config(t, yaml))
	if s.retirement.ended != nil {
		<-s.retirement.ended
	}
	return r, err
}

// What is the same keeps running; what changed is started before what it replaces is
// stopped.
func TestReload(t *testing.T) {
	t.Parallel()
	const changed = "{mutates: true}"
	for _, c := range []struct {
		name, old, new string // what is replaced in threePipelines
		events         string
		lists          Reloaded
	}{
		{name: "nothing", lists: Reloaded{}},
		{
			name: "an exporter", old: "{out: , ", new: "{out: " + changed + ", ",
			events: "start out; stop out",
			lists:  Reloaded{Changed: []string{`exporter "out"`}},
		},
		{
			name: "a receiver", old: "in/2: }", new: "in/2: " + changed + "}",
			events: "start in/2; stop in/2",
			lists:  Reloaded{Changed: []string{`receiver "in/2"`}},
		},
		{
			name: "a processor of two pipelines", old: "step/2: ,", new: "step/2: " + changed + ",",
			events: "start step/2; start step; start step/2; stop step/2; stop step; stop step/2", // with the one in front
			lists:  Reloaded{Changed: []string{`processor "step/2"`}},
		},
		{
			name: "a pipeline less", old: "    traces/front: {receivers: [in, in/2], processors: [step/2], exporters: [out/2, forward]}\n    traces/back: {receivers: [forward], processors: [step/3], exporters: [out]}\n", new: "",
			events: "stop in/2; stop step/2; stop step/3; stop out/2",
			lists: Reloaded{Removed: []string{`receiver "in/2"`, `processor "step/3"`, `exporter "out/2"`, `connector "forward"`,
				`pipeline "traces/front"`, `pipeline "traces/back"`}},
		},
		{
			name: "a pipeline more", old: "    logs:", new: "    traces/more: {receivers: [in], processors: [step/3], exporters: [out]}\n    logs:",
			events: "start step/3",
			lists:  Reloaded{Added: []string{`pipeline "traces/more"`}},
		},
		{
			name: "the order of processors", old: "[step, step/2]", new: "[step/2, step]",
			events: "start step; start step/2; stop step; stop step/2",
			lists:  Reloaded{Changed: []string{`pipeline "traces"`}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakes()
			s := f.service(t, threePipelines)
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer s.Shutdown(t.Context())
			f.take()
			next := strings.Replace(threePipelines, c.old, c.new, 1)
			r, err := f.reload(t, s, next)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.events, f.take()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			got := Reloaded{Changed: r.Changed, Added: r.Added, Removed: r.Removed}
			if diff := cmp.Diff(c.lists, got); diff != "" {
				t.Errorf("lists (-want +got):\n%s", diff)
			}
			want := f.service(t, next) // a service that begins with it
			if err := want.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.take()
			if err := errors.Join(want.Shutdown(t.Context())); err != nil {
				t.Fatal(err)
			}
			stops := f.take()
			if err := s.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(stops, f.take()); diff != "" {
				t.Errorf("shutdown (-of a service that began with it, +got):\n%s", diff)
			}
		})
	}
}

// Data goes where the configuration says, also through parts that are kept.
func TestReloadLeadsElsewhere(t *testing.T) {
	t.Parallel()
	f := newFakes()
	s := f.service(t, threePipelines)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	received := func() (all []string) { // of each exporter, and of processors together
		for _, id := range []string{"step", "step/2", "step/3", "out", "out/2"} {
			n := 0
			for i, c := range f.made[id] {
				n += len(c.batches)
				if strings.HasPrefix(id, "out") && len(c.batches) > 0 {
					all = append(all, fmt.Sprintf("%s%s: %d", id, strings.Repeat("'", i), len(c.batches)))
				}
				c.batches = nil
			}
			if strings.HasPrefix(id, "step") {
				all = append(all, fmt.Sprintf("%s: %d", id, n))
			}
		}
		return all
	}
	for _, c := range []struct {
		yaml string
		want []string
	}{
		{threePipelines, []string{"step: 1", "step/2: 2", "step/3: 1", "out: 2", "out/2: 1"}},
		{strings.Replace(threePipelines, "exporters: [out]}", "exporters: [out/2]}", 1), []string{"step: 1", "step/2: 2", "step/3: 1", "out: 1", "out/2: 2"}},
		{strings.Replace(threePipelines, "{out: ,", "{out: {mutates: true},", 1), []string{"step: 1", "step/2: 2", "step/3: 1", "out': 2", "out/2: 1"}},
	} {
		if _, err := f.reload(t, s, c.yaml); err != nil {
			t.Fatal(err)
		}
		if err := f.send(t, "in", otlp.Traces); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, received()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// A configuration that cannot be started changes nothing.
func TestReloadFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, old, new, events, want string }{
		{"a constructor", "{out: , ", "{out: {fail_new: bad}, ", "", "exporters.out: bad"},
		{"two constructors", "{out: , out/2: ", "{out: {fail_new: bad}, out/2: {fail_new: worse}", "", "exporters.out/2: worse"},
		{"an exporter", "{out: , ", "{out: {fail_start: bad}, ", "", "bad"},
		{"a receiver, after others", "{in: , in/2: }\nprocessors: {step: , ", "{in: {mutates: true}, in/2: {fail_start: bad}}\nprocessors: {step: {mutates: true}, ",
			"start step; start in; stop in; stop step", "bad"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakes()
			s := f.service(t, threePipelines)
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer s.Shutdown(t.Context())
			f.take()
			next := strings.Replace(threePipelines, c.old, c.new, 1)
			if next == threePipelines {
				t.Fatal("nothing is replaced")
			}
			before := s.graph()
			if _, err := f.reload(t, s, next); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if diff := cmp.Diff(c.events, f.take()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if s.graph() != before {
				t.Error("the graph was replaced")
			}
			if err := f.send(t, "in", otlp.Traces); err != nil {
				t.Error(err)
			}
			if r, err := f.reload(t, s, threePipelines); err != nil || len(r.Changed)+len(r.Added)+len(r.Removed) > 0 {
				t.Errorf("the same again: %v, %v", r, err)
			}
			if got := f.take(); got != "" {
				t.Errorf("the same again: %s", got)
			}
		})
	}
}

// Components that need an extension are replaced with it.
func TestReloadExtension(t *testing.T) {
	t.Parallel()
	const yaml = `
receivers: {in: {auth: auth}, in/2: }
exporters: {out: }
extensions: {ext: , auth: }
service:
  extensions: [ext, auth]
  pipelines:
    traces: {receivers: [in, in/2], exporters: [out]}
`
	f := newFakes()
	s := f.service(t, yaml)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	f.take()
	r, err := f.reload(t, s, strings.Replace(yaml, "auth: }", "auth: {mutates: true}}", 1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("start auth; start in; in finds auth: true; stop in; in finds auth: true; stop auth", f.take()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Names{`receiver "in"`, `extension "auth"`}, r.Changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if e, ok := s.graph().Extension("ext"); !ok || e != any(f.made["ext"][0]) {
		t.Errorf("the kept extension is %v", e)
	}
}

// A reload before Start and after Shutdown is an error.
func TestReloadOutsideOfLife(t *testing.T) {
	t.Parallel()
	f := newFakes()
	s := f.service(t, threePipelines)
	if _, err := f.reload(t, s, threePipelines); !errors.Is(err, ErrNotRunning) {
		t.Errorf("before Start: %v", err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.reload(t, s, threePipelines); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after Shutdown: %v", err)
	}
}

// A component that was created and not started, and one that was replaced, measure nothing,
// also if they do not end that themselves.
func TestReloadEndsMeasurements(t *testing.T) {
	t.Parallel()
	f := newFakes()
	reader := metric.NewManualReader()
	o := f.options()
	o.Meter = metric.NewMeterProvider(metric.WithReader(reader))
	yaml := func(out, last string) string {
		return strings.Replace(threePipelines, "{out: , out/2: }", "{out: "+out+", out/2: "+last+"}", 1)
	}
	s, err := New(f.config(t, yaml("{measures: true}", "")), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	for _, next := range []struct {
		out, last string
		fails     bool
		want      int64
	}{
		{"{measures: true}", "", false, 1},
		{"{measures: true, mutates: true}", "{fail_new: bad}", true, 1},
		{"{measures: true, mutates: true}", "{fail_start: bad}", true, 1},
		{"{measures: true, mutates: true}", "", false, 1},
		{"{mutates: true}", "", false, 0},
	} {
		if _, err := f.reload(t, s, yaml(next.out, next.last)); (err != nil) != next.fails {
			t.Errorf("%+v: %v", next, err)
		}
		f.measured.Store(0)
		if err := reader.Collect(t.Context(), &metricdata.ResourceMetrics{}); err != nil {
			t.Fatal(err)
		}
		if got := f.measured.Load(); got != next.want {
			t.Errorf("%+v: %d components measure, want %d", next, got, next.want)
		}
	}
}
