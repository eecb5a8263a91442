package attributesprocessor

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/processor/attraction"
	"github.com/penstock-telemetry/penstock/processor/internal/actiontest"
)

// lists calls edit with the attributes of each item of a decoded request.
func lists(m proto.Message, edit func(*[]*commonpb.KeyValue)) {
	switch m := m.(type) {
	case *coltrace.ExportTraceServiceRequest:
		for _, rs := range m.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, span := range ss.Spans {
					edit(&span.Attributes)
				}
			}
		}
	case *collogs.ExportLogsServiceRequest:
		for _, rl := range m.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				for _, record := range sl.LogRecords {
					edit(&record.Attributes)
				}
			}
		}
	case *colmetrics.ExportMetricsServiceRequest:
		for _, rm := range m.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, metric := range sm.Metrics {
					for _, p := range metric.GetGauge().GetDataPoints() {
						edit(&p.Attributes)
					}
					for _, p := range metric.GetSum().GetDataPoints() {
						edit(&p.Attributes)
					}
					for _, p := range metric.GetHistogram().GetDataPoints() {
						edit(&p.Attributes)
					}
					for _, p := range metric.GetExponentialHistogram().GetDataPoints() {
						edit(&p.Attributes)
					}
					for _, p := range metric.GetSummary().GetDataPoints() {
						edit(&p.Attributes)
					}
				}
			}
		}
	}
}

func passOf(t testing.TB, cfg Config, s otlp.Signal) *otlpedit.Pass {
	t.Helper()
	plan, err := cfg.plan(s)
	if err != nil {
		t.Fatal(err)
	}
	return otlpedit.NewPass(plan)
}

// verify compares a pass with the same actions on a decoded request. It reports whether
// the request was changed.
func verify(t testing.TB, p *otlpedit.Pass, actions []attraction.Action, s otlp.Signal, request []byte) bool {
	t.Helper()
	items, err := otlp.Check(s, request)
	if err != nil {
		t.Fatalf("the test's own request: %v", err)
	}
	before := bytes.Clone(request)
	verdict, edited, err := p.Run(s, request, items, otlpedit.Heap{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, request) {
		t.Fatal("the original was written to")
	}
	original, want := testkit.NewMessage(s), testkit.NewMessage(s)
	if err := errors.Join(proto.Unmarshal(request, original), proto.Unmarshal(request, want)); err != nil {
		t.Skip("the official module refuses what is not UTF-8")
	}
	lists(want, func(list *[]*commonpb.KeyValue) { *list = actiontest.Apply(t, *list, actions, nil) })
	if verdict == otlpedit.Keep {
		if !proto.Equal(original, want) {
			t.Fatalf("nothing was changed with %+v, expected\n%s", actions, cmp.Diff(original, want, protocmp.Transform()))
		}
		return false
	}
	if n, err := otlp.Check(s, edited); err != nil || n != items {
		t.Fatalf("the result has %d items of %d: %v", n, items, err)
	}
	got := testkit.NewMessage(s)
	if err := proto.Unmarshal(edited, got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Fatalf("%s with %+v:\ngot  %v\nwant %v", s, actions, got, want)
	}
	return true
}

var stable = []otlp.Signal{otlp.Traces, otlp.Metrics, otlp.Logs}

func TestEditEqualsTheSameEditOnDecodedRequests(t *testing.T) {
	for _, s := range stable {
		for i, actions := range actiontest.Plans {
			t.Run(fmt.Sprintf("%s/%d", s, i), func(t *testing.T) {
				t.Parallel()
				p := passOf(t, Config{Actions: actions}, s)
				changed := 0
				for seed := range int64(150) {
					if verify(t, p, actions, s, testkit.NewRandom(seed).Request(s)) {
						changed++
					}
				}
				if changed == 0 {
					t.Error("no request was changed: the test tests nothing")
				}
			})
		}
	}
}

// Also requests that are written in unusual ways.
func TestUnusualRequests(t *testing.T) {
	for _, s := range stable {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			for i, actions := range actiontest.Plans {
				p := passOf(t, Config{Actions: actions}, s)
				for seed := range uint64(20) {
					verify(t, p, actions, s, testkit.Request(rand.New(rand.NewPCG(seed, uint64(i))), s, int(seed)))
				}
			}
		})
	}
}

// Whatever passes the check on arrival is edited as the oracle edits it.
func FuzzEdit(f *testing.F) {
	for _, s := range stable {
		f.Add(byte(s), byte(0), testkit.NewRandom(int64(s)).Request(s))
		f.Add(byte(s), byte(5), testkit.NewRandom(int64(s)).Request(s))
	}
	f.Fuzz(func(t *testing.T, signal, which byte, request []byte) {
		s := otlp.Signal(signal)
		if _, err := otlp.Check(s, request); err != nil || s == otlp.Profiles {
			return
		}
		actions := actiontest.Plans[int(which)%len(actiontest.Plans)]
		verify(t, passOf(t, Config{Actions: actions}, s), actions, s, request)
	})
}
