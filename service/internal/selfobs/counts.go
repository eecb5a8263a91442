package selfobs

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Counts fills in the counters of receivers and exporters, whose names package
// obsreport defines. Attributes other than those of the result are summed over.
// Without MetricsOptions.Pages it sets Unmeasured.
func (m *Metrics) Counts(ctx context.Context, into *component.Status) error {
	if m.pages == nil && m.sdk != nil {
		into.Unmeasured = "the extension zpages was added by a reload; its pages have counts after the next start"
		return nil
	}
	if m.pages == nil {
		into.Unmeasured = "service.telemetry.metrics is off, or the embedding program uses its own meter provider"
		return nil
	}
	var all metricdata.ResourceMetrics
	if err := m.pages.Collect(ctx, &all); err != nil {
		return fmt.Errorf("collect the metrics for the pages: %w", err)
	}
	counts := map[countKey]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, measured := range scope.Metrics {
			sum, ok := measured.Data.(metricdata.Sum[int64])
			kind, outcome, signal := itemCounter(measured.Name)
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

// HasPages reports whether there are counts for the pages of zpages, or none for a reason
// that a restart does not change.
func (m *Metrics) HasPages() bool { return m.pages != nil || m.sdk == nil }

// A countKey names a row and a column of the table of counters.
type countKey struct{ kind, id, transport, signal, outcome string }

// itemCounter splits the name of a counter of items, such as
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

// tabulate writes counts into rows in a fixed order.
func tabulate(counts map[countKey]int64, into *component.Status) {
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
			into.Received = append(into.Received, component.ReceiverCounts{
				Receiver: k.id, Transport: k.transport, Signal: k.signal,
				Accepted: of("accepted"), Refused: of("refused"), Failed: of("failed"),
			})
			continue
		}
		into.Sent = append(into.Sent, component.ExporterCounts{
			Exporter: k.id, Signal: k.signal, Delivered: of("sent"), Failed: of("send_failed"),
		})
	}
}
