package obsreport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// ErrShutDown is the cause of requests that fail because the exporter shuts down.
var ErrShutDown = errors.New("shut down")

// Exporter records the metrics of one exporter: its attempts, and the outcomes of
// requests. A request that is retried has several attempts and one outcome, when
// the destination has accepted it or it will not be sent again. It is safe for
// concurrent use.
type Exporter struct {
	rows     [otlp.Profiles + 1]exporterRow // by signal; row 0 is empty
	inFlight metric.Int64UpDownCounter
	dataType [otlp.Profiles + 1][]metric.AddOption
}

// exporterRow has the counters of one signal.
type exporterRow struct {
	group            // sent, then attempts by result, then failed unless by cause
	failed series    // its attributes are those of all causes
	causes *sync.Map // *series by failure; nil: items that failed are in the group
	tags   []attribute.KeyValue
}

// Places in the group of a row.
const (
	seriesSent     = iota
	seriesAttempts // the first of len(attemptNames)
)

// attemptNames are the results of an attempt, by pipeline.Kind. 0 is success.
var attemptNames = [...]string{
	0: "success", pipeline.Retryable: "retryable", pipeline.Overloaded: "overloaded", pipeline.Permanent: "permanent", pipeline.Partial: "partial",
}

// NewExporter creates the instruments of the exporter with this id in the
// configuration ("otlp/2"). destination returns the address or URL that a signal is sent
// to, empty if there is none; nil means that there is none for any signal. If detailed,
// items that failed are counted by the cause, and attempts by the signal.
func NewExporter(id string, mp metric.MeterProvider, detailed bool, destination func(otlp.Signal) string) (*Exporter, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("exporter %q", id)}
	e := &Exporter{inFlight: m.level(requestsInFlight)}
	tag := attrExporter.key.String(id)
	attempts := m.counter(sendAttempts, 0)
	for _, s := range otlp.Signals() {
		tags := []attribute.KeyValue{tag}
		if destination != nil {
			tags = append(tags, serverAttributes(destination(s))...)
		}
		row := &e.rows[s]
		row.series = []series{seriesSent: newSeries(m.counter(itemsSent, s), tags...)}
		for _, name := range attemptNames {
			of := []attribute.KeyValue{tag, attrResult.key.String(name)}
			if detailed {
				of = append(of, attrSignal.key.String(signalName(s)))
			}
			row.series = append(row.series, newSeries(attempts, of...))
		}
		row.failed = newSeries(m.counter(itemsSendFailed, s), tags...)
		if detailed {
			row.causes, row.tags = &sync.Map{}, tags
		} else {
			row.series = append(row.series, row.failed)
		}
		e.dataType[s] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(tag, attrDataType.key.String(signalName(s))))}
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return e, nil
}

// otherError is the type of errors that have no other name.
const otherError = "_OTHER"

// failure is the cause of failed items. Its type has a bounded number of values.
type failure struct {
	kind      string
	permanent bool
}

// failureOf names the cause of refusal, which may be nil, as the Collector does.
func failureOf(refusal *pipeline.Error) failure {
	if refusal == nil {
		return failure{kind: otherError}
	}
	f := failure{kind: otherError, permanent: refusal.Kind == pipeline.Permanent || refusal.Kind == pipeline.Partial}
	switch {
	case errors.Is(refusal, ErrShutDown):
		f.kind = "Shutdown"
	case errors.Is(refusal, context.Canceled):
		f.kind = "Canceled"
	case errors.Is(refusal, context.DeadlineExceeded):
		f.kind = "Deadline_Exceeded"
	case refusal.Code != 0 && int(refusal.Code) < len(codeNames):
		f.kind = codes.Code(refusal.Code).String()
	}
	return f
}

// addFailed counts items that were not accepted because of refusal.
func (row *exporterRow) addFailed(ctx context.Context, n int64, refusal *pipeline.Error) {
	if row.causes == nil || n <= 0 {
		row.failed.add(ctx, n)
		return
	}
	f := failureOf(refusal)
	of, ok := row.causes.Load(f)
	if !ok {
		of, _ = row.causes.LoadOrStore(f, row.newCause(f))
	}
	of.(*series).add(ctx, n)
}

func (row *exporterRow) newCause(f failure) *series {
	s := newSeries(row.failed.counter, with(row.tags, attrErrorType.key.String(f.kind), attrPermanent.key.Bool(f.permanent))...)
	return &s
}

// serverAttributes returns the host and port of a destination, and the path of a URL.
func serverAttributes(destination string) []attribute.KeyValue {
	if destination == "" {
		return nil
	}
	if path, ok := strings.CutPrefix(destination, "unix:"); ok {
		return []attribute.KeyValue{attrAddress.key.String("/" + strings.TrimLeft(path, "/"))}
	}
	host, path := destination, ""
	if u, err := url.Parse(destination); err == nil && u.Host != "" {
		host, path = u.Host, u.Path
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
	if path != "" {
		tags = append(tags, attrPath.key.String(path))
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
// this exporter. failed of its items were not accepted by the destination, because of
// refusal. A request whose error is returned to the caller is also counted.
func (e *Exporter) Outcome(ctx context.Context, s otlp.Signal, items, failed int, refusal *pipeline.Error) {
	row := &e.rows[s]
	row.begin(ctx)
	row.series[seriesSent].add(ctx, int64(items-failed))
	row.addFailed(ctx, int64(failed), refusal)
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
	e.Outcome(ctx, s, items, failed, refusal)
}
