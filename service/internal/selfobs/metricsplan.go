package selfobs

import (
	"fmt"
	"log/slog"
	"reflect"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/service/internal/push"
)

// Plan prepares other addresses of the Prometheus endpoints, and other destinations and
// times of what is pushed. All else belongs to the meter provider, whose instruments the
// components have. endpoints are as of NewMetrics.
func (m *Metrics) Plan(cfg MetricsConfig, endpoints []Endpoint) (Change, error) {
	switch {
	case m.given || reflect.DeepEqual(cfg, m.cfg):
		return Change{}, nil
	case m.sdk == nil, cfg.Level == "none":
		return Change{NeedsRestart: []string{"metrics"}}, nil
	}
	p := &metricsPlan{m: m, next: cfg, endpoints: endpoints}
	if cfg.Level != m.cfg.Level {
		p.restart("metrics.level")
	}
	if err := p.readers(); err != nil {
		p.undo()
		return Change{}, err
	}
	return Change{Apply: p.apply, Undo: p.undo, NeedsRestart: p.needsRestart}, nil
}

// metricsPlan collects what a change of the metrics does.
type metricsPlan struct {
	m             *Metrics
	next          MetricsConfig
	endpoints     []Endpoint // those that are not assigned yet
	applies, gone []func()
	needsRestart  []string
}

func (p *metricsPlan) restart(key string) { p.needsRestart = append(p.needsRestart, key) }

func (p *metricsPlan) apply() {
	for _, f := range p.applies {
		f()
	}
}

func (p *metricsPlan) undo() {
	for _, f := range p.gone {
		f()
	}
}

// readers compares the readers one by one. A provider has the readers that it was
// created with.
func (p *metricsPlan) readers() error {
	if len(p.next.Readers) != len(p.m.cfg.Readers) {
		p.restart("metrics.readers")
		return nil
	}
	servers, pushes := p.m.servers, p.m.pushed
	for i := range p.m.cfg.Readers {
		before, next := &p.m.cfg.Readers[i], &p.next.Readers[i]
		var server *adminServer
		var push *pushed
		if before.Pull != nil {
			server, servers = servers[0], servers[1:]
		} else {
			push, pushes = pushes[0], pushes[1:]
		}
		if err := p.reader(i, before, next, server, push); err != nil {
			return err
		}
	}
	return nil
}

// live notes that a reader is in effect when the plan is applied.
func (p *metricsPlan) live(before, next *ReaderConfig) {
	p.applies = append(p.applies, func() { *before = *next })
}

func (p *metricsPlan) reader(i int, before, next *ReaderConfig, server *adminServer, pushing *pushed) error {
	var at Endpoint
	if next.Pull != nil {
		at, p.endpoints = p.endpoints[0], p.endpoints[1:]
	}
	switch {
	case before.Pull != nil && next.Pull != nil && samePull(before.Pull, next.Pull):
		apply, undo, err := server.plan(at)
		if err != nil {
			return err
		}
		p.applies, p.gone = append(p.applies, apply), append(p.gone, undo)
		p.live(before, next)
	case before.Periodic != nil && next.Periodic != nil && push.SameReader(&before.Periodic.Exporter, &next.Periodic.Exporter):
		p.live(before, next)
		return p.periodic(pushing, next.Periodic)
	default:
		p.restart(fmt.Sprintf("metrics.readers[%d]", i))
	}
	return nil
}

// samePull reports whether two endpoints differ in their addresses only.
func samePull(a, b *PullConfig) bool {
	x, y := a.Exporter.Prometheus, b.Exporter.Prometheus
	x.Host, x.Port = y.Host, y.Port
	return reflect.DeepEqual(x, y)
}

func (p *metricsPlan) periodic(of *pushed, next *PeriodicConfig) error {
	if reflect.DeepEqual(of.cfg, next) {
		return nil
	}
	to, err := next.Exporter.Open(otlp.Metrics, of.name, p.m.log, p.m.stdout)
	if err != nil {
		return err
	}
	p.gone = append(p.gone, func() { _ = to.Close() }) // it has sent nothing
	p.applies = append(p.applies, func() {
		of.cfg = next
		end := of.Replace(to, millis(next.IntervalMillis), millis(next.TimeoutMillis))
		p.m.ending.Go(func() {
			if err := end(); err != nil {
				p.m.log.Warn("closing the previous destination of own metrics failed", slog.Any("error", err))
			}
		})
	})
	return nil
}
