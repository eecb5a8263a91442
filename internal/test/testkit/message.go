package testkit

import (
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/otlp"
)

// NewMessage returns an empty export request of signal s in the official
// module's type, to compare our own reading of the same bytes with.
func NewMessage(s otlp.Signal) proto.Message {
	return [...]proto.Message{
		otlp.Traces:   &coltrace.ExportTraceServiceRequest{},
		otlp.Metrics:  &colmetrics.ExportMetricsServiceRequest{},
		otlp.Logs:     &collogs.ExportLogsServiceRequest{},
		otlp.Profiles: &colprofiles.ExportProfilesServiceRequest{},
	}[s]
}
