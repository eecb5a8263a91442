package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/collector/processor/xprocessor"

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/countconnector"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/attributesprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/filterprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/metricstransformprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/probabilisticsamplerprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/redactionprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/resourceprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/spanprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"

	"github.com/penstock-telemetry/penstock/otlp"
)

var contribProcessors = []processor.Factory{
	attributesprocessor.NewFactory(),
	filterprocessor.NewFactory(),
	metricstransformprocessor.NewFactory(),
	probabilisticsamplerprocessor.NewFactory(),
	redactionprocessor.NewFactory(),
	resourceprocessor.NewFactory(),
	spanprocessor.NewFactory(),
	transformprocessor.NewFactory(),
}

var contribConnectors = []connector.Factory{
	countconnector.NewFactory(),
}

// errSignal means that the component does not support the signal.
var errSignal = errors.New("the component does not support the signal")

// NewContrib creates a component of contrib.
func NewContrib(c Component) (Instance, error) {
	if c.Kind == Connector {
		return newContribConnector(c)
	}
	f, err := factoryOf(contribProcessors, c.Type)
	if err != nil {
		return nil, err
	}
	config, err := decodeContrib(f, c.Settings)
	if err != nil {
		return nil, err
	}
	set := processortest.NewNopSettings(f.Type())
	return contribSignals[c.Signal].processor(f, set, config)
}

func newContribConnector(c Component) (Instance, error) {
	f, err := factoryOf(contribConnectors, c.Type)
	if err != nil {
		return nil, err
	}
	config, err := decodeContrib(f, c.Settings)
	if err != nil {
		return nil, err
	}
	return contribSignals[c.Signal].toMetrics(f, connectortest.NewNopSettings(f.Type()), config)
}

func factoryOf[F component.Factory](list []F, typ string) (f F, err error) {
	i := slices.IndexFunc(list, func(f F) bool {
		return f.Type().String() == typ || slices.Contains(formerTypes[f.Type().String()], typ)
	})
	if i < 0 {
		return f, fmt.Errorf("no component of type %q is linked", typ)
	}
	return list[i], nil
}

// formerTypes are other names of contrib's types.
var formerTypes = map[string][]string{
	"metrics_transform": {"metricstransform"},
	"metricstransform":  {"metrics_transform"},
}

// decodeContrib reads settings as the Collector reads a section of its file.
func decodeContrib(f component.Factory, settings string) (component.Config, error) {
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:              []string{"yaml:" + settings},
		ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory(), envprovider.NewFactory()},
	})
	if err != nil {
		return nil, fmt.Errorf("create the resolver of the settings: %w", err)
	}
	conf, err := resolver.Resolve(context.Background())
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	config := f.CreateDefaultConfig()
	if err := conf.Unmarshal(&config); err != nil {
		return nil, fmt.Errorf("decode the settings: %w", err)
	}
	if err := confmap.Validate(config); err != nil {
		return nil, fmt.Errorf("validate the settings: %w", err)
	}
	return config, nil
}

// contribSignal has what differs between signals.
type contribSignal struct {
	processor func(f processor.Factory, set processor.Settings, config component.Config) (Instance, error)
	toMetrics func(f connector.Factory, set connector.Settings, config component.Config) (Instance, error)
	// normalize returns the request as pdata writes what it reads.
	normalize func(request []byte) ([]byte, error)
	// json returns the request as pdata's JSON.
	json func(request []byte) ([]byte, error)
}

var contribSignals = map[otlp.Signal]contribSignal{
	otlp.Traces: {
		processor: func(f processor.Factory, set processor.Settings, config component.Config) (Instance, error) {
			return startContrib(tracesCodec, func(k *contribSink) (component.Component, func(context.Context, ptrace.Traces) error, error) {
				next, err := consumer.NewTraces(sink(k, otlp.Traces, tracesCodec))
				if err != nil {
					return nil, nil, err
				}
				p, err := f.CreateTraces(context.Background(), set, config, next)
				return created(p, err, func() func(context.Context, ptrace.Traces) error { return p.ConsumeTraces })
			})
		},
		toMetrics: func(f connector.Factory, set connector.Settings, config component.Config) (Instance, error) {
			return startContrib(tracesCodec, func(k *contribSink) (component.Component, func(context.Context, ptrace.Traces) error, error) {
				next, err := consumer.NewMetrics(sink(k, otlp.Metrics, metricsCodec))
				if err != nil {
					return nil, nil, err
				}
				p, err := f.CreateTracesToMetrics(context.Background(), set, config, next)
				return created(p, err, func() func(context.Context, ptrace.Traces) error { return p.ConsumeTraces })
			})
		},
		normalize: tracesCodec.normalize,
		json:      func(b []byte) ([]byte, error) { return toJSON(b, tracesCodec, (&ptrace.JSONMarshaler{}).MarshalTraces) },
	},
	otlp.Metrics: {
		processor: func(f processor.Factory, set processor.Settings, config component.Config) (Instance, error) {
			return startContrib(metricsCodec, func(k *contribSink) (component.Component, func(context.Context, pmetric.Metrics) error, error) {
				next, err := consumer.NewMetrics(sink(k, otlp.Metrics, metricsCodec))
				if err != nil {
					return nil, nil, err
				}
				p, err := f.CreateMetrics(context.Background(), set, config, next)
				return created(p, err, func() func(context.Context, pmetric.Metrics) error { return p.ConsumeMetrics })
			})
		},
		toMetrics: func(f connector.Factory, set connector.Settings, config component.Config) (Instance, error) {
			return startContrib(metricsCodec, func(k *contribSink) (component.Component, func(context.Context, pmetric.Metrics) error, error) {
				next, err := consumer.NewMetrics(sink(k, otlp.Metrics, metricsCodec))
				if err != nil {
					return nil, nil, err
				}
				p, err := f.CreateMetricsToMetrics(context.Background(), set, config, next)
				return created(p, err, func() func(context.Context, pmetric.Metrics) error { return p.ConsumeMetrics })
			})
		},
		normalize: metricsCodec.normalize,
		json: func(b []byte) ([]byte, error) {
			return toJSON(b, metricsCodec, (&pmetric.JSONMarshaler{}).MarshalMetrics)
		},
	},
	otlp.Logs: {
		processor: func(f processor.Factory, set processor.Settings, config component.Config) (Instance, error) {
			return startContrib(logsCodec, func(k *contribSink) (component.Component, func(context.Context, plog.Logs) error, error) {
				next, err := consumer.NewLogs(sink(k, otlp.Logs, logsCodec))
				if err != nil {
					return nil, nil, err
				}
				p, err := f.CreateLogs(context.Background(), set, config, next)
				return created(p, err, func() func(context.Context, plog.Logs) error { return p.ConsumeLogs })
			})
		},
		toMetrics: func(f connector.Factory, set connector.Settings, config component.Config) (Instance, error) {
			return startContrib(logsCodec, func(k *contribSink) (component.Component, func(context.Context, plog.Logs) error, error) {
				next, err := consumer.NewMetrics(sink(k, otlp.Metrics, metricsCodec))
				if err != nil {
					return nil, nil, err
				}
				p, err := f.CreateLogsToMetrics(context.Background(), set, config, next)
				return created(p, err, func() func(context.Context, plog.Logs) error { return p.ConsumeLogs })
			})
		},
		normalize: logsCodec.normalize,
		json:      func(b []byte) ([]byte, error) { return toJSON(b, logsCodec, (&plog.JSONMarshaler{}).MarshalLogs) },
	},
	otlp.Profiles: {
		processor: func(f processor.Factory, set processor.Settings, config component.Config) (Instance, error) {
			x, ok := f.(xprocessor.Factory)
			if !ok {
				return nil, errSignal
			}
			return startContrib(profilesCodec, func(k *contribSink) (component.Component, func(context.Context, pprofile.Profiles) error, error) {
				next, err := xconsumer.NewProfiles(sink(k, otlp.Profiles, profilesCodec))
				if err != nil {
					return nil, nil, err
				}
				p, err := x.CreateProfiles(context.Background(), set, config, next)
				return created(p, err, func() func(context.Context, pprofile.Profiles) error { return p.ConsumeProfiles })
			})
		},
		toMetrics: func(connector.Factory, connector.Settings, component.Config) (Instance, error) { return nil, errSignal },
		normalize: profilesCodec.normalize,
		json: func(b []byte) ([]byte, error) {
			return toJSON(b, profilesCodec, (&pprofile.JSONMarshaler{}).MarshalProfiles)
		},
	},
}

// created returns a component and its Consume method, which must not be taken
// from a nil component.
func created[T any](c component.Component, err error, consume func() func(context.Context, T) error) (component.Component, func(context.Context, T) error, error) {
	if errors.Is(err, pipeline.ErrSignalNotSupported) {
		return nil, nil, errSignal
	}
	if err != nil {
		return nil, nil, err
	}
	return c, consume(), nil
}

// A codec translates between a request and pdata.
type codec[T any] struct {
	decode func([]byte) (T, error)
	encode func(T) ([]byte, error)
}

var (
	tracesCodec   = codec[ptrace.Traces]{(&ptrace.ProtoUnmarshaler{}).UnmarshalTraces, (&ptrace.ProtoMarshaler{}).MarshalTraces}
	metricsCodec  = codec[pmetric.Metrics]{(&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics, (&pmetric.ProtoMarshaler{}).MarshalMetrics}
	logsCodec     = codec[plog.Logs]{(&plog.ProtoUnmarshaler{}).UnmarshalLogs, (&plog.ProtoMarshaler{}).MarshalLogs}
	profilesCodec = codec[pprofile.Profiles]{(&pprofile.ProtoUnmarshaler{}).UnmarshalProfiles, (&pprofile.ProtoMarshaler{}).MarshalProfiles}
)

func (c codec[T]) normalize(request []byte) ([]byte, error) {
	data, err := c.decode(request)
	if err != nil {
		return nil, err
	}
	return c.encode(data)
}

func toJSON[T any](request []byte, c codec[T], marshal func(T) ([]byte, error)) ([]byte, error) {
	data, err := c.decode(request)
	if err != nil {
		return nil, err
	}
	return marshal(data)
}

// contribSink keeps what a component sends.
type contribSink struct{ sent []Request }

func sink[T any](k *contribSink, s otlp.Signal, c codec[T]) func(context.Context, T) error {
	return func(_ context.Context, data T) error {
		b, err := c.encode(data)
		if err != nil {
			return err
		}
		k.sent = append(k.sent, Request{s, b})
		return nil
	}
}

type contribInstance[T any] struct {
	component.Component
	codec   codec[T]
	consume func(context.Context, T) error
	sink    *contribSink
}

func startContrib[T any](c codec[T], create func(*contribSink) (component.Component, func(context.Context, T) error, error)) (Instance, error) {
	k := &contribSink{}
	made, consume, err := create(k)
	if err != nil {
		return nil, err
	}
	if err := made.Start(context.Background(), componenttest.NewNopHost()); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return &contribInstance[T]{made, c, consume, k}, nil
}

func (i *contribInstance[T]) Process(request []byte) (r Result) {
	data, err := i.codec.decode(request)
	if err != nil {
		return Result{Err: fmt.Errorf("decode the request: %w", err)}
	}
	i.sink.sent = nil
	defer func() {
		if r.Panic = recover(); r.Panic != nil {
			r.Sent = nil
		}
	}()
	err = i.consume(context.Background(), data)
	return Result{Sent: i.sink.sent, Err: err}
}

func (i *contribInstance[T]) Close() error { return i.Shutdown(context.Background()) }
