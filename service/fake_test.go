package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// fakes is a catalog of components that write down what happens to them:
// receiver in, processor step, exporter out and, for traces alone, tracesonly.
type fakes struct {
	mu     sync.Mutex
	events []string
	made   map[string][]*fake // by id
	hang   chan struct{}      // what a hanging Shutdown waits for
}

type fakeConfig struct {
	FailNew   string `yaml:"fail_new"`
	FailStart string `yaml:"fail_start"`
	FailStop  string `yaml:"fail_stop"`
	Hang      bool   `yaml:"hang"`
	Refuse    string `yaml:"refuse"`
	Mutates   bool   `yaml:"mutates"`
	Listen    string `yaml:"listen"`
	Auth      string `yaml:"auth"` // an authenticator that it names
	Role      string `yaml:"role"` // of an extension
}

type fake struct {
	*fakes
	id        string
	cfg       fakeConfig
	next      pipeline.Consumer
	extension func(string) (any, bool)
	consumers map[otlp.Signal]pipeline.Consumer
	batches   []string // signal and bytes
}

func newFakes() *fakes { return &fakes{made: map[string][]*fake{}, hang: make(chan struct{})} }

func (f *fakes) catalog() catalog {
	all := map[otlp.Signal]string{otlp.Traces: "x", otlp.Metrics: "x", otlp.Logs: "x", otlp.Profiles: "x"}
	traces := map[otlp.Signal]string{otlp.Traces: "x"}
	return catalog{
		types: []ComponentType{
			{Receiver, "in", nil, all}, {Processor, "step", nil, all}, {Exporter, "out", []string{"outer"}, all},
			{Exporter, "tracesonly", nil, traces}, {Connector, "forward", nil, all}, {Extension, "ext", nil, nil},
		},
		decode: f.decode,
	}
}

func (f *fakes) decode(k Kind, typ string, n *conf.Node) (plan, error) {
	var cfg fakeConfig
	err := n.Decode(&cfg)
	p := plan{config: cfg}
	if cfg.Listen != "" {
		p.listens = []listener{listenerAt(n, "tcp", cfg.Listen, "listen")}
	}
	if cfg.Auth != "" {
		p.needs = []component.Need{{Key: "auth", ID: cfg.Auth, Role: component.RoleAuthenticator}}
	}
	p.role = component.Role(cfg.Role)
	p.extension = func(_ host, s component.Settings) (pipeline.Component, error) { return f.make(s, cfg, nil) }
	p.receiver = func(s component.Settings) (receiver, error) { return f.make(s, cfg, nil) }
	p.processor = func(s component.Settings, next pipeline.Consumer) (consumer, error) { return f.make(s, cfg, next) }
	p.exporter = func(s component.Settings) (consumer, error) { return f.make(s, cfg, nil) }
	return p, err
}

func (f *fakes) make(s component.Settings, cfg fakeConfig, next pipeline.Consumer) (*fake, error) {
	if cfg.FailNew != "" {
		return nil, errors.New(cfg.FailNew)
	}
	c := &fake{fakes: f, id: s.ID, cfg: cfg, next: next, extension: s.Extension, consumers: map[otlp.Signal]pipeline.Consumer{}}
	f.made[s.ID] = append(f.made[s.ID], c)
	return c, nil
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

func (c *fake) Consume(ctx context.Context, b *pipeline.Batch) error {
	c.mu.Lock()
	c.batches = append(c.batches, b.Signal().String())
	c.mu.Unlock()
	if c.cfg.Refuse != "" {
		return &pipeline.Error{Kind: pipeline.Permanent, Err: errors.New(c.cfg.Refuse)}
	}
	if c.next != nil {
		return c.next.Consume(ctx, b)
	}
	return nil
}

// config reads YAML with the fake components.
func (f *fakes) config(t *testing.T, yaml string) *Config {
	t.Helper()
	cfg, err := f.catalog().load(Sources{URIs: []string{"yaml:" + yaml}, Set: []string{"service.telemetry.metrics.level=none"}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// service makes one out of YAML. Its log goes nowhere.
func (f *fakes) service(t *testing.T, yaml string) *Service {
	t.Helper()
	s, err := New(f.config(t, yaml), Options{Logger: component.Settings{}.OrDefaults().Logger})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// send gives the receiver id one empty batch of signal s, as a client would.
func (f *fakes) send(t *testing.T, id string, s otlp.Signal) error {
	t.Helper()
	b, err := pipeline.NewBatch(s, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	return f.made[id][0].consumers[s].Consume(t.Context(), b)
}
