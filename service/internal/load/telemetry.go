package load

import (
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/service/internal/selfobs"
)

// telemetry reads the section service.telemetry.
func (l *loader) telemetry(n *conf.Node) {
	t := selfobs.DefaultConfig()
	var sections struct {
		Logs     *conf.Node `yaml:"logs"`
		Metrics  *conf.Node `yaml:"metrics"`
		Traces   *conf.Node `yaml:"traces"`
		Resource *conf.Node `yaml:"resource"`
	}
	l.problems.Add(n.Decode(&sections)) // one at a time, so that all are checked even if one is wrong
	l.problems.Add(sections.Logs.Decode(&t.Logs))
	l.problems.Add(sections.Metrics.Decode(&t.Metrics))
	l.problems.Add(sections.Traces.Decode(&t.Traces))
	l.problems.Add(sections.Resource.Decode(&t.Resource))
	if address := n.Get("metrics", "address"); address != nil && t.Metrics.Address != "" {
		if readers := n.Get("metrics", "readers"); readers.Len() > 0 {
			l.problems.Add(address.KeyErrorf("expected address or readers, found both (readers at %s)", readers.KeyPos()))
		} else {
			t.Metrics.UseAddress() // Validate has reported an invalid address
		}
	}
	l.cfg.Telemetry = t
	for _, v := range t.Ineffective() {
		l.warnAt(v, "has no effect yet in this release")
	}
	if t.Metrics.Level == "none" {
		return
	}
	for i := range t.Metrics.Readers {
		if pull := t.Metrics.Readers[i].Pull; pull != nil {
			l.cfg.MetricsListeners = append(l.cfg.MetricsListeners, metricsListener(n, i, pull.Exporter.Prometheus.HostPort()))
		}
	}
}

// metricsListener returns a reader's listener with the position of its address.
func metricsListener(n *conf.Node, reader int, address string) Listener {
	if at := n.Get("metrics", "address"); at != nil {
		return Listener{Address: address, Path: at.Path(), Written: true, transport: "tcp", node: at}
	}
	for i, r := range n.Get("metrics", "readers").Children() {
		if i == reader {
			return listenerAt(r, "tcp", address, "pull", "exporter", "prometheus", "port")
		}
	}
	return Listener{Address: address, Path: "service.telemetry.metrics.readers", transport: "tcp"}
}
