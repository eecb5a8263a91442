package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// fakes has components that record their calls: receiver in, processor step,
// exporter out and, only for traces, tracesonly.
type fakes struct {
	mu     sync.Mutex
	events []string
	made   map[string][]*fake // by id
	hang   chan struct{}      // closed to end a hanging Shutdown

	measured atomic.Int64 // callbacks of metrics that were called
}

type fakeConfig struct {
	FailNew   string `yaml:"fail_new"`
	FailStart string `yaml:"fail_start"`
	FailStop  string `yaml:"fail_stop"`
	Hang      bool   `yaml:"hang"`
	Refuse    string `yaml:"refuse"`
	Mutates   bool   `yaml:"mutates"`
	Listen    string `yaml:"listen"`
	Auth      string `yaml:"auth"` // id of an authenticator
	Storage   string `yaml:"storage"`
	File      string `yaml:"writes"`
	Measures  bool   `yaml:"measures"` // from its creation on, without an end
}

type fake struct {
	*fakes
	id        string
	cfg       fakeConfig
	next      pipeline.Consumer
	extension func(string) (any, bool)
	consumers map[otlp.Signal]pipeline.Consumer
	batches   []string // signal and bytes
	stopped   bool
}

func newFakes() *fakes { return &fakes{made: map[string][]*fake{}, hang: make(chan struct{})} }

func (f *fakes) descriptors() []component.Descriptor {
	defaults := func() any { return &fakeConfig{} }
	all := component.AllSignals("x")
	of := func(k component.Kind, typ string, s component.Stability) component.Descriptor {
		return component.Descriptor{Kind: k, Type: typ, Stability: s, DefaultConfig: defaults}
	}
	in, step, out := of(component.KindReceiver, "in", all), of(component.KindProcessor, "step", all), of(component.KindExporter, "out", all)
	out.Aliases = []string{"outer"}
	in.Receiver = func(config any, s component.Settings) (component.Receiver, error) { return f.make(s, config, nil) }
	step.ConsumerProcessor = func(config any, s component.Settings, next pipeline.Consumer) (component.Exporter, error) {
		return f.make(s, config, next)
	}
	out.Exporter = func(config any, s component.Settings) (component.Exporter, error) { return f.make(s, config, nil) }
	tracesOnly := of(component.KindExporter, "tracesonly", component.Stability{otlp.Traces: "x"})
	tracesOnly.Exporter = out.Exporter
	ext, authenticator := of(component.KindExtension, "ext", nil), of(component.KindExtension, "auth", nil)
	ext.Extension = func(config any, s component.Settings) (pipeline.Component, error) { return f.make(s, config, nil) }
	authenticator.Extension, authenticator.Role = ext.Extension, component.RoleAuthenticator
	return []component.Descriptor{in, step, out, tracesOnly, of(component.KindConnector, "forward", all), ext, authenticator}
}

// Listens implements component.Listener.
func (c *fakeConfig) Listens() []component.Listen {
	if c.Listen == "" {
		return nil
	}
	return []component.Listen{{Key: "listen", Transport: "tcp", Address: c.Listen}}
}

// Writes implements component.Writer.
func (c *fakeConfig) Writes() []component.File {
	if c.File == "" {
		return nil
	}
	return []component.File{{Key: "writes", Path: c.File}}
}

// Needs implements component.Needer.
func (c *fakeConfig) Needs() []component.Need {
	var all []component.Need
	if c.Auth != "" {
		all = append(all, component.Need{Key: "auth", ID: c.Auth, Role: component.RoleAuthenticator})
	}
	if c.Storage != "" {
		all = append(all, component.Need{Key: "storage", ID: c.Storage, Role: component.RoleStorage})
	}
	return all
}

func (f *fakes) make(s component.Settings, config any, next pipeline.Consumer) (*fake, error) {
	cfg := *config.(*fakeConfig)
	if cfg.FailNew != "" {
		return nil, errors.New(cfg.FailNew)
	}
	c := &fake{fakes: f, id: s.ID, cfg: cfg, next: next, extension: s.Extension, consumers: map[otlp.Signal]pipeline.Consumer{}}
	f.made[s.ID] = append(f.made[s.ID], c)
	if cfg.Measures {
		return c, f.measure(s.Meter)
	}
	return c, nil
}

// measure registers a callback of metrics.
func (f *fakes) measure(p metric.MeterProvider) error {
	m := p.Meter("fake")
	gauge, err := m.Int64ObservableGauge("fake")
	if err != nil {
		return err
	}
	_, err = m.RegisterCallback(func(context.Context, metric.Observer) error {
		f.measured.Add(1)
		return nil
	}, gauge)
	return err
}

func (f *fakes) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, fmt.Sprintf(format, args...))
}

// take returns the events since the last call.
func (f *fakes) take() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := strings.Join(f.events, "; ")
	f.events = nil
	return text
}

func (c *fake) Register(s otlp.Signal, to pipeline.Consumer) error {
	if c.consumers[s] != nil {
		return errors.New("registered twice")
	}
	c.consumers[s] = to
	return nil
}

func (c *fake) Start(context.Context) error {
	if c.cfg.FailStart != "" {
		return errors.New(c.cfg.FailStart)
	}
	c.note("start %s", c.id)
	if c.cfg.Auth != "" {
		_, ok := c.extension(c.cfg.Auth)
		c.note("%s finds %s: %v", c.id, c.cfg.Auth, ok)
	}
	return nil
}

func (c *fake) Shutdown(ctx context.Context) error {
	c.note("stop %s", c.id)
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	if c.cfg.Auth != "" {
		_, ok := c.extension(c.cfg.Auth)
		c.note("%s finds %s: %v", c.id, c.cfg.Auth, ok)
	}
	if ctx.Err() != nil {
		c.note("too late")
	}
	if c.cfg.Hang {
		<-c.hang
	}
	if c.cfg.FailStop != "" {
		return errors.New(c.cfg.FailStop)
	}
	return nil
}

func (c *fake) Capabilities() pipeline.Capabilities {
	return pipeline.Capabilities{MutatesData: c.cfg.Mutates}
}

// Consume makes fake an exporter or a processor, so that it is not a testkit.Sink:
// the configuration says how it answers, and a processor passes batches on.
func (c *fake) Consume(ctx context.Context, b *pipeline.Batch) error {
	c.mu.Lock()
	c.batches = append(c.batches, b.Signal().String())
	stopped := c.stopped
	c.mu.Unlock()
	if stopped {
		c.note("%s gets a batch after its end", c.id)
	}
	if c.cfg.Refuse != "" {
		return &pipeline.Error{Kind: pipeline.Permanent, Err: errors.New(c.cfg.Refuse)}
	}
	if c.next != nil {
		return c.next.Consume(ctx, b)
	}
	return nil
}

func (f *fakes) options() Options {
	return Options{Components: f.descriptors(), Logger: slog.New(slog.DiscardHandler)}
}

// config reads YAML with the fake components.
func (f *fakes) config(t *testing.T, yaml string) *Config {
	t.Helper()
	cfg, err := LoadFrom(f.options(), Sources{URIs: []string{"yaml:" + yaml}, Set: []string{"service.telemetry.metrics.level=none"}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// service creates a service from YAML. Its log is discarded.
func (f *fakes) service(t *testing.T, yaml string) *Service {
	t.Helper()
	s, err := New(f.config(t, yaml), f.options())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// send passes one empty batch of signal s to the consumer of the receiver id.
func (f *fakes) send(t *testing.T, id string, s otlp.Signal) error {
	t.Helper()
	b, err := pipeline.NewBatch(s, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	return f.made[id][0].consumers[s].Consume(t.Context(), b)
}
