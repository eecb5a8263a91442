package embed

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/exporter/nopexporter"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service"
)

// lineConfig is the section of a receiver of a program, which listens by itself.
type lineConfig struct {
	Address string `yaml:"address"`
	Answer  string `yaml:"answer"`
}

// lines is a receiver that answers each connection with a line.
type lines struct {
	lineConfig
	listener net.Listener
	serving  sync.WaitGroup
}

func newLines(cfg lineConfig, _ component.Settings) (*lines, error) {
	return &lines{lineConfig: cfg}, nil
}

func (l *lines) Register(otlp.Signal, pipeline.Consumer) error { return nil }

func (l *lines) Start(context.Context) (err error) {
	if l.listener, err = net.Listen("tcp", l.Address); err != nil {
		return err
	}
	l.serving.Go(func() {
		for {
			c, err := l.listener.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, l.Answer)
			c.Close()
		}
	})
	return nil
}

func (l *lines) Shutdown(context.Context) error {
	err := l.listener.Close()
	l.serving.Wait()
	return err
}

// A program reloads a service with a component of its own that listens without package
// config, so that two of them cannot have its address: the old one ends first. If the new
// one does not start the old one is there again.
func TestReloadOfAProgram(t *testing.T) {
	o := service.Options{Components: []component.Descriptor{nopexporter.Component(),
		component.OfReceiver("lines", component.AllSignals("Development"), func() lineConfig { return lineConfig{} }, newLines)}}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	load := func(address, answer string) *service.Config {
		t.Helper()
		cfg, err := service.Load(o, fmt.Sprintf(`yaml:
receivers: {lines: {address: %q, answer: %s}}
exporters: {nop: }
service:
  telemetry: {metrics: {level: none}}
  pipelines: {logs: {receivers: [lines], exporters: [nop]}}
`, address, answer))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	s, err := service.New(load(address, "one"), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer := func() string {
		c, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		return strings.TrimSpace(string(b))
	}
	for _, next := range []struct {
		address, answer, want string
		fails                 bool
	}{
		{address, "two", "two", false},
		{taken.Addr().String(), "three", "two", true},
		{address, "four", "four", false},
	} {
		r, err := s.Reload(t.Context(), load(next.address, next.answer))
		if (err != nil) != next.fails {
			t.Errorf("%+v: %v, %v", next, r, err)
		}
		if err == nil && (len(r.Changed) != 1 || r.Changed[0] != `receiver "lines"`) {
			t.Errorf("%+v: changed %v", next, r.Changed)
		}
		if next.fails && !strings.Contains(err.Error(), "receivers.lines: ") {
			t.Errorf("%+v: %v, want its place in the configuration", next, err)
		}
		if got := answer(); got != next.want {
			t.Errorf("%+v: the answer is %q", next, got)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
