package funcs_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/functions"
	"github.com/penstock-telemetry/penstock/processor/internal/funcs"
)

func parser(c *ottl.Context) *ottl.Parser {
	return ottl.NewParser(c, functions.Standard(), functions.Conditions(), funcs.Transform())
}

// plansOf returns the plans of a step of statements.
func plansOf(t testing.TB, s otlp.Signal, context string, mode ottl.ErrorMode, report func(error), statements ...string) []otlpedit.Plan {
	t.Helper()
	step := ottl.Step{Context: ottl.ContextOf(context), Mode: mode, Report: report}
	for _, text := range statements {
		st, err := parser(step.Context).Statement(text)
		if err != nil {
			t.Fatal(err)
		}
		step.Statements = append(step.Statements, st)
	}
	return ottl.Plans(s, step)
}

// pass applies plans to a request, checks the result, and that the items are those that the
// pass counts.
func pass(t testing.TB, s otlp.Signal, request []byte, plans []otlpedit.Plan) ([]byte, error) {
	t.Helper()
	before := bytes.Clone(request)
	for i, plan := range plans {
		items, err := otlp.Check(s, request)
		if err != nil {
			t.Fatalf("plan %d: the request: %v", i, err)
		}
		p := otlpedit.NewPass(plan)
		v, out, err := p.Run(s, request, items, otlpedit.Heap{})
		if !bytes.Equal(before, request) {
			t.Fatal("the request was changed")
		}
		if err != nil {
			return nil, err
		}
		switch v {
		case otlpedit.Replace:
			request = bytes.Clone(out)
			n, err := otlp.Check(s, request)
			if err != nil {
				t.Fatalf("plan %d: the result: %v", i, err)
			}
			if n != p.Items(0) {
				t.Fatalf("plan %d: %d items came, %d are left, the pass counts %d", i, items, n, p.Items(0))
			}
		case otlpedit.Drop:
			t.Fatal("all was dropped")
		}
		before = bytes.Clone(request)
	}
	return request, nil
}

func metricOf(t testing.TB, text string) *metricspb.Metric {
	t.Helper()
	m := &metricspb.Metric{}
	if err := protojson.Unmarshal([]byte(testkit.ExpandAttributes(text)), m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return m
}

// transformed returns the metrics that statements make of one.
func transformed(t testing.TB, context, metric string, statements ...string) ([]*metricspb.Metric, error) {
	t.Helper()
	var ignored error
	request, err := proto.Marshal(&collectorpb.ExportMetricsServiceRequest{ResourceMetrics: []*metricspb.ResourceMetrics{{
		ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: []*metricspb.Metric{metricOf(t, metric)}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := pass(t, otlp.Metrics, request, plansOf(t, otlp.Metrics, context, ottl.Ignore, func(err error) { ignored = err }, statements...))
	if err != nil {
		return nil, err
	}
	r := &collectorpb.ExportMetricsServiceRequest{}
	if err := proto.Unmarshal(out, r); err != nil {
		t.Fatal(err)
	}
	return r.ResourceMetrics[0].ScopeMetrics[0].Metrics, ignored
}

// same fails the test unless the metrics are those of the texts.
func same(t *testing.T, got []*metricspb.Metric, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d metrics, want %d: %.600v", len(got), len(want), got)
		return
	}
	for i := range got {
		if w := metricOf(t, want[i]); !proto.Equal(got[i], w) {
			t.Errorf("metric %d\n got %.600v\nwant %.600v", i, got[i], w)
		}
	}
}
