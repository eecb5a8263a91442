// Package obsreport counts what components did with their items and draws a
// span around each request, under the names that the Collector's users have on
// their dashboards.
//
//	receiver ─Start─► span ─┐                 ┌─► otelcol_receiver_accepted_spans{receiver,transport}
//	consumer ─ error ───────┴─End(Outcome)────┼─► otelcol_receiver_refused_spans
//	                                          └─► otelcol_receiver_failed_spans
//
// Only the OpenTelemetry API is used here; who embeds penstock brings the
// providers. Instruments and attribute sets are made once for each signal, so a
// request costs what the SDK costs and no more.
//
// The one trap: a series exists only after its first Add. All counters of a
// signal are therefore added to at every request, also with 0.
package obsreport

import (
	"strings"

	"github.com/penstock-telemetry/penstock/otlp"
)

// scope names the meter of all instruments made here.
const scope = "github.com/penstock-telemetry/penstock/obsreport"

// noun is what prose calls a signal's items: "metric points".
func noun(s otlp.Signal) string { return strings.ReplaceAll(s.Spec().Item, "_", " ") }
