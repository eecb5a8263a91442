package selfobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/service/internal/push"
)

// Metrics holds the metrics that penstock records of itself, and the endpoints
// that serve them.
//
//	components ─► provider ─┬─ reader ─► registry ─► admin server localhost:8888/metrics
//	process    ─►           └─ reader ─► push.Metrics ─► OTLP
type Metrics struct {
	// Provider creates the instruments of the service and its components.
	Provider metric.MeterProvider
	sdk      *sdkmetric.MeterProvider // nil if no metrics are recorded here
	servers  []*adminServer
	pages    *sdkmetric.ManualReader // for zpages; nil without that extension
	pushed   []*pushed

	cfg    MetricsConfig // in effect, and not in effect yet where a restart is needed
	given  bool          // MetricsOptions.Given replaces the provider
	log    *slog.Logger  // from Start
	stdout io.Writer
	ending sync.WaitGroup // of pushing that was replaced
}

// pushed is a periodic reader.
type pushed struct {
	*push.Metrics
	cfg  *PeriodicConfig
	name string
}

// MetricsOptions are the arguments of NewMetrics that are not in the
// configuration.
type MetricsOptions struct {
	// Given replaces the provider. Nothing is served then.
	Given metric.MeterProvider
	// Endpoints has an address for each pull reader.
	Endpoints []Endpoint
	// Ready decides the answer of /readyz.
	Ready func() bool
	// Pages adds a reader that Counts reads from.
	Pages bool
}

// NewMetrics creates a provider with a reader and a server for each Prometheus
// endpoint of the configuration. No server listens before Start.
func NewMetrics(cfg MetricsConfig, res *sdkresource.Resource, o MetricsOptions) (*Metrics, error) {
	if o.Given != nil {
		return &Metrics{Provider: o.Given, given: true}, nil
	}
	if cfg.Level == "none" {
		return &Metrics{Provider: metricnoop.NewMeterProvider(), cfg: cfg}, nil
	}
	m := &Metrics{cfg: cfg}
	opts := []sdkmetric.Option{
		sdkmetric.WithView(levelViews(cfg.Level)...),
		sdkmetric.WithResource(res),
		sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter), // the endpoint does not serve exemplars
	}
	for i, r := range cfg.Readers {
		if c := r.Periodic; c != nil {
			p := push.NewMetrics(&c.Exporter, millis(c.IntervalMillis), millis(c.TimeoutMillis))
			opts = append(opts, sdkmetric.WithReader(p.Reader))
			m.pushed = append(m.pushed, &pushed{p, c, fmt.Sprintf("service.telemetry.metrics.readers[%d]", i)})
			continue
		}
		at := o.Endpoints[len(m.servers)]
		registry := prometheus.NewRegistry()
		reader, err := otelprom.New(prometheusOptions(r.Pull.Exporter.Prometheus, registry)...)
		if err != nil {
			return nil, fmt.Errorf("create the Prometheus endpoint of %s: %w", at.Path, err)
		}
		opts = append(opts, sdkmetric.WithReader(reader))
		m.servers = append(m.servers, newAdminServer(at, registry, o.Ready))
	}
	if o.Pages {
		m.pages = sdkmetric.NewManualReader()
		opts = append(opts, sdkmetric.WithReader(m.pages))
	}
	m.sdk = sdkmetric.NewMeterProvider(opts...)
	m.Provider = m.sdk
	return m, measureProcess(m.sdk)
}

// levelViews drop what a level does not record.
func levelViews(level string) (views []sdkmetric.View) {
	for _, name := range obsreport.NotAt(level) {
		views = append(views, sdkmetric.NewView(sdkmetric.Instrument{Name: name}, sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}}))
	}
	return views
}

// prometheusOptions translate names as the Collector does: dots stay, for scrapers that
// ask for them, and one of the two flags alone changes nothing.
func prometheusOptions(c PrometheusConfig, registry prometheus.Registerer) []otelprom.Option {
	strategy := otlptranslator.NoUTF8EscapingWithSuffixes
	if c.WithoutTypeSuffix && c.WithoutUnits {
		strategy = otlptranslator.NoTranslation
	}
	opts := []otelprom.Option{otelprom.WithRegisterer(registry), otelprom.WithTranslationStrategy(strategy)}
	if c.WithoutScopeInfo {
		opts = append(opts, otelprom.WithoutScopeInfo())
	}
	if labels := c.WithResourceConstantLabels; labels != nil {
		opts = append(opts, otelprom.WithResourceAsConstantLabels(labels.filter))
	}
	return opts
}

// filter reports whether a label is included. Without a list of included names
// all are.
func (s *IncludeExclude) filter(kv attribute.KeyValue) bool {
	return (len(s.Included) == 0 || matches(s.Included, string(kv.Key))) && !matches(s.Excluded, string(kv.Key))
}

func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}

// Start starts the servers, and to push.
func (m *Metrics) Start(log *slog.Logger, stdout io.Writer) error {
	m.log, m.stdout = log, stdout
	for _, p := range m.pushed {
		to, err := p.cfg.Exporter.Open(otlp.Metrics, p.name, log, stdout)
		if err != nil {
			return err
		}
		p.Metrics.Start(to)
	}
	for _, s := range m.servers {
		if err := s.start(log); err != nil {
			return err
		}
	}
	return nil
}

// Shutdown stops the servers. The service calls it last, so that the shutdown
// can be observed.
func (m *Metrics) Shutdown(ctx context.Context) error {
	m.ending.Wait()
	var errs []error
	for _, s := range m.servers {
		errs = append(errs, s.shutdown(ctx))
	}
	for _, p := range m.pushed {
		errs = append(errs, p.Shutdown(ctx))
	}
	if m.sdk != nil {
		errs = append(errs, m.sdk.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// URLs returns the URLs of /metrics, after Start.
func (m *Metrics) URLs() []string {
	var urls []string
	for _, s := range m.servers {
		if bound := s.bound.Load(); bound != nil {
			urls = append(urls, "http://"+bound.Addr().String()+"/metrics")
		}
	}
	return urls
}
