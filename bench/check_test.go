// Package bench measures penstock beside its peers, on the same bytes in the
// same run. It is a module of its own so that the peers stay out of the
// product's dependencies.
//
//	go test -bench . ./...          parts: Check against pdata
//	go run ./servers                the whole server against one that discards
package bench

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/penstock-telemetry/penstock/bench/payload"
	"github.com/penstock-telemetry/penstock/otlp"
)

// pdata decodes as the Collector's receiver does, and counts.
var pdata = [...]func([]byte) (int, error){
	otlp.Traces: func(b []byte) (int, error) {
		r := ptraceotlp.NewExportRequest()
		err := r.UnmarshalProto(b)
		return r.Traces().SpanCount(), err
	},
	otlp.Metrics: func(b []byte) (int, error) {
		r := pmetricotlp.NewExportRequest()
		err := r.UnmarshalProto(b)
		return r.Metrics().DataPointCount(), err
	},
	otlp.Logs: func(b []byte) (int, error) {
		r := plogotlp.NewExportRequest()
		err := r.UnmarshalProto(b)
		return r.Logs().LogRecordCount(), err
	},
	otlp.Profiles: func(b []byte) (int, error) {
		r := pprofileotlp.NewExportRequest()
		err := r.UnmarshalProto(b)
		return r.Profiles().SampleCount(), err
	},
}

// BenchmarkDoor compares what each does with a request at the door: Check walks
// it, pdata's unmarshal builds a tree.
func BenchmarkDoor(b *testing.B) {
	const items = 1000
	for _, s := range otlp.Signals() {
		req := payload.Of(s, items)
		for _, side := range []struct {
			name string
			run  func([]byte) (int, error)
		}{
			{"penstock", func(b []byte) (int, error) { return otlp.Check(s, b) }},
			{"pdata", pdata[s]},
		} {
			b.Run(s.String()+"/"+side.name, func(b *testing.B) {
				b.SetBytes(int64(len(req)))
				b.ReportAllocs()
				for b.Loop() {
					if n, err := side.run(req); n != items || err != nil {
						b.Fatalf("%d items, %v", n, err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/items, "ns/item")
			})
		}
	}
}

func TestSpansAreOfTheSizeTheFiguresNameIt(t *testing.T) {
	if per := (len(payload.Traces(1001)) - len(payload.Traces(1))) / 1000; per != 437 {
		t.Errorf("a span takes %d bytes, want 437", per)
	}
}
