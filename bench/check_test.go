// Package bench compares penstock with other programs, with the same bytes in
// the same run. It is a separate module so that those programs are not
// dependencies of the product.
//
//	go test -bench . ./...          single functions: Check compared with pdata
//	go run ./servers                the whole server compared with one that discards the data
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

// pdata decodes like the Collector's receiver, and counts the items.
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

// BenchmarkCheck compares checking a request with decoding it: Check reads it,
// pdata's unmarshal builds a tree.
func BenchmarkCheck(b *testing.B) {
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
