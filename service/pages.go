package service

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/penstock-telemetry/penstock/extension/zpagesextension"
	"github.com/penstock-telemetry/penstock/otlp"
)

// hasExtension says whether an extension of a type is enabled.
func (c *Config) hasExtension(typ string) bool {
	return slices.ContainsFunc(c.extensions, func(e *definition) bool { return e.typ.Type == typ })
}

// snapshot is what the pages of zpages show.
func (s *Service) snapshot(ctx context.Context) (zpagesextension.Snapshot, error) {
	snap := zpagesextension.Snapshot{Taken: time.Now(), Version: s.opts.Version, Gates: featureGates()}
	var err error
	if snap.Since, err = s.readiness(); err != nil {
		snap.NotReady = err.Error()
	}
	text, err := s.cfg.YAML()
	if err != nil {
		return snap, err
	}
	snap.Config = string(text)
	for _, p := range s.cfg.pipelines {
		snap.Pipelines = append(snap.Pipelines, zpagesextension.Pipeline{
			ID: p.id, Signal: p.signal.String(), MutatesData: s.graph.mutates[p],
			Receivers: idsOf(p.receivers), Processors: idsOf(p.processors), Exporters: idsOf(p.exporters),
		})
	}
	for _, e := range s.cfg.extensions {
		snap.Extensions = append(snap.Extensions, zpagesextension.Info{ID: e.id, Type: e.typ.Type})
	}
	if b := s.memory.budget.Stats(); b.Limit > 0 {
		snap.Budget = zpagesextension.Budget{
			Limit: b.Limit, Used: b.Used, Peak: b.Peak, Requests: b.Admitted, Waiting: b.Waiting, RefusedSoFar: b.Refused(),
		}
	}
	if s.metrics.pages == nil {
		snap.Unmeasured = "the section service.telemetry.metrics is off, or the program that penstock is part of takes its metrics"
		return snap, nil
	}
	err = itemCounts(ctx, s.metrics.pages, &snap)
	return snap, err
}

// itemCounts reads the counters of receivers and exporters, under their names in
// package obsreport. What else they are split by is summed up.
func itemCounts(ctx context.Context, from sdkmetric.Reader, into *zpagesextension.Snapshot) error {
	var all metricdata.ResourceMetrics
	if err := from.Collect(ctx, &all); err != nil {
		return fmt.Errorf("collect the metrics for the pages: %w", err)
	}
	counts := map[countKey]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			kind, outcome, signal := itemCounter(m.Name)
			if !ok || kind == "" {
				continue
			}
			for _, p := range sum.DataPoints {
				id, _ := p.Attributes.Value(attribute.Key(kind))
				k := countKey{kind: kind, id: id.AsString(), signal: signal, outcome: outcome}
				if transport, ok := p.Attributes.Value("transport"); ok && kind == "receiver" {
					k.transport = transport.AsString()
				}
				counts[k] += p.Value
			}
		}
	}
	tabulate(counts, into)
	return nil
}

// A countKey is a row and a column of what is counted.
type countKey struct{ kind, id, transport, signal, outcome string }

// itemCounter takes the name of a counter of items apart:
// otelcol_receiver_accepted_spans.
func itemCounter(name string) (kind, outcome, signal string) {
	for _, k := range []string{"receiver", "exporter"} {
		rest, ok := strings.CutPrefix(name, "otelcol_"+k+"_")
		if !ok {
			continue
		}
		for _, s := range otlp.Signals() {
			if outcome, ok := strings.CutSuffix(rest, "_"+s.Spec().Item); ok {
				return k, outcome, s.String()
			}
		}
	}
	return "", "", ""
}

// tabulate makes rows out of counts, in a fixed order.
func tabulate(counts map[countKey]int64, into *zpagesextension.Snapshot) {
	rows := map[countKey]bool{}
	for k := range counts {
		k.outcome = ""
		rows[k] = true
	}
	for _, k := range slices.SortedFunc(maps.Keys(rows), func(a, b countKey) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.transport, b.transport), cmp.Compare(a.signal, b.signal))
	}) {
		of := func(outcome string) int64 { k.outcome = outcome; return counts[k] }
		if k.kind == "receiver" {
			into.Received = append(into.Received, zpagesextension.Received{
				Receiver: k.id, Transport: k.transport, Signal: k.signal,
				Accepted: of("accepted"), Refused: of("refused"), Failed: of("failed"),
			})
			continue
		}
		into.Sent = append(into.Sent, zpagesextension.Sent{
			Exporter: k.id, Signal: k.signal, Delivered: of("sent"), Failed: of("send_failed"),
		})
	}
}
