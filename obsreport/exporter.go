package obsreport

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Exporter records the metrics of one exporter: its attempts, and the outcomes of
// requests. A request that is retried has several attempts and one outcome, when
// the destination has accepted it or it will not be sent again. It is safe for
// concurrent use.
type Exporter struct {
	rows     [otlp.Profiles + 1]group // by signal: sent, failed, then attempts by result; row 0 is empty
	inFlight metric.Int64UpDownCounter
	dataType [otlp.Profiles + 1][]metric.AddOption
}

// Places in the rows of an Exporter.
const (
	seriesSent = iota
	seriesFailed
	seriesAttempts // the first of len(attemptNames)
)

// attemptNames are the results of an attempt, by pipeline.Kind. 0 is success.
var attemptNames = [...]string{
	0: "success", pipeline.Retryable: "retryable", pipeline.Overloaded: "overloaded", pipeline.Permanent: "permanent", pipeline.Partial: "partial",
}

// NewExporter creates the instruments of the exporter with this id in the
// configuration ("otlp/2"). destination is the address or URL that it sends to, empty
// if there is none.
func NewExporter(id string, mp metric.MeterProvider, destination string) (*Exporter, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("exporter %q", id)}
	e := &Exporter{inFlight: m.level(requestsInFlight)}
	tag := attrExporter.key.String(id)
	tags := append([]attribute.KeyValue{tag}, serverAttributes(destination)...)
	attempts := m.counter(sendAttempts, 0)
	for _, s := range otlp.Signals() {
		row := []series{
			seriesSent:   newSeries(m.counter(itemsSent, s), tags...),
			seriesFailed: newSeries(m.counter(itemsSendFailed, s), tags...),
		}
		for _, name := range attemptNames {
			row = append(row, newSeries(attempts, tag, attrSignal.key.String(signalName(s)), attrResult.key.String(name)))
		}
		e.rows[s].series = row
		e.dataType[s] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(tag, attrDataType.key.String(signalName(s))))}
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return e, nil
}

// serverAttributes returns the host and port of a destination.
func serverAttributes(destination string) []attribute.KeyValue {
	if destination == "" {
		return nil
	}
	if path, ok := strings.CutPrefix(destination, "unix:"); ok {
		return []attribute.KeyValue{attrAddress.key.String("/" + strings.TrimLeft(path, "/"))}
	}
	host := destination
	if u, err := url.Parse(destination); err == nil && u.Host != "" {
		host = u.Host
		if u.Port() == "" && u.Scheme != "" {
			host = net.JoinHostPort(u.Hostname(), map[bool]string{true: "443", false: "80"}[u.Scheme == "https"])
		}
	} else if _, rest, found := strings.Cut(destination, ":///"); found { // a resolver of gRPC
		host = rest
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return []attribute.KeyValue{attrAddress.key.String(host)}
	}
	tags := []attribute.KeyValue{attrAddress.key.String(name)}
	if n, err := strconv.Atoi(port); err == nil {
		tags = append(tags, attrPort.key.Int(n))
	}
	return tags
}

// Begin counts a request of signal s that is being sent, until End.
func (e *Exporter) Begin(ctx context.Context, s otlp.Signal) {
	if e.inFlight.Enabled(ctx) {
		e.inFlight.Add(ctx, 1, e.dataType[s]...)
	}
}

// End ends Begin.
func (e *Exporter) End(ctx context.Context, s otlp.Signal) {
	if e.inFlight.Enabled(ctx) {
		e.inFlight.Add(ctx, -1, e.dataType[s]...)
	}
}

// Attempt counts one attempt to send a request of signal s. refusal is the
// result of pipeline.Classify for its error; nil means success.
func (e *Exporter) Attempt(ctx context.Context, s otlp.Signal, refusal *pipeline.Error) {
	result := pipeline.Kind(0)
	if refusal != nil {
		result = refusal.Kind
	}
	row := &e.rows[s]
	row.begin(ctx)
	row.series[seriesAttempts+int(result)].add(ctx, 1)
}

// Outcome counts the items of a request of signal s that will not be sent again by
// this exporter. failed of its items were not accepted by the destination. A request
// whose error is returned to the caller is also counted.
func (e *Exporter) Outcome(ctx context.Context, s otlp.Signal, items, failed int) {
	row := &e.rows[s]
	row.begin(ctx)
	row.series[seriesSent].add(ctx, int64(items-failed))
	row.series[seriesFailed].add(ctx, int64(failed))
}

// Sent counts the attempt and the outcome of a request that is sent once, whatever
// the result.
func (e *Exporter) Sent(ctx context.Context, s otlp.Signal, items int, refusal *pipeline.Error) {
	e.Attempt(ctx, s, refusal)
	failed := 0
	switch {
	case refusal == nil:
	case refusal.Kind == pipeline.Partial:
		failed = int(min(max(refusal.Rejected, 0), int64(items)))
	default:
		failed = items
	}
	e.Outcome(ctx, s, items, failed)
}
