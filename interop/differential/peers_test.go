package differential

import (
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// collector is a request as the Collector's receiver has it.
type collector interface {
	UnmarshalProto([]byte) error
	UnmarshalJSON([]byte) error
	MarshalProto() ([]byte, error)
	MarshalJSON() ([]byte, error)
}

// newCollector returns an empty request, and what counts its items.
func newCollector(s otlp.Signal) (collector, func() int) {
	switch s {
	case otlp.Traces:
		r := ptraceotlp.NewExportRequest()
		return r, func() int { return r.Traces().SpanCount() }
	case otlp.Metrics:
		r := pmetricotlp.NewExportRequest()
		return r, func() int { return r.Metrics().DataPointCount() }
	case otlp.Logs:
		r := plogotlp.NewExportRequest()
		return r, func() int { return r.Logs().LogRecordCount() }
	default:
		r := pprofileotlp.NewExportRequest()
		return r, func() int { return r.Profiles().SampleCount() }
	}
}

func byPenstock(s otlp.Signal, request []byte) verdict {
	n, err := otlp.Check(s, request)
	return verdict{n, err}
}

func byPdata(s otlp.Signal, request []byte) verdict {
	r, items := newCollector(s)
	if err := r.UnmarshalProto(request); err != nil {
		return verdict{err: err}
	}
	return verdict{items: items()}
}

func byOfficial(s otlp.Signal, request []byte) verdict {
	m := testkit.NewMessage(s)
	if err := proto.Unmarshal(request, m); err != nil {
		return verdict{err: err}
	}
	return verdict{items: countOfficial(m)}
}

func countOfficial(m proto.Message) (n int) {
	switch m := m.(type) {
	case *coltraces.ExportTraceServiceRequest:
		for _, r := range m.ResourceSpans {
			for _, s := range r.ScopeSpans {
				n += len(s.Spans)
			}
		}
	case *colmetrics.ExportMetricsServiceRequest:
		for _, r := range m.ResourceMetrics {
			for _, s := range r.ScopeMetrics {
				for _, x := range s.Metrics {
					n += len(x.GetGauge().GetDataPoints()) + len(x.GetSum().GetDataPoints()) + len(x.GetHistogram().GetDataPoints()) +
						len(x.GetExponentialHistogram().GetDataPoints()) + len(x.GetSummary().GetDataPoints())
				}
			}
		}
	case *collogs.ExportLogsServiceRequest:
		for _, r := range m.ResourceLogs {
			for _, s := range r.ScopeLogs {
				n += len(s.LogRecords)
			}
		}
	case *colprofiles.ExportProfilesServiceRequest:
		for _, r := range m.ResourceProfiles {
			for _, s := range r.ScopeProfiles {
				for _, p := range s.Profiles {
					n += len(p.Samples)
				}
			}
		}
	}
	return n
}
