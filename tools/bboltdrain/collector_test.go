package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// host has the Collector's extensions.
type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// A collector is the Collector's own queue and its own storage, in front of a dead
// destination.
type collector struct {
	t         *testing.T
	directory string
	host      host
	options   []exporterhelper.Option
	sending   chan struct{} // has an element for each attempt
}

var errDead = errors.New("the destination is dead")

func newCollector(t *testing.T) *collector {
	t.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = t.TempDir()
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	if err != nil {
		t.Fatal(err)
	}
	id := component.MustNewID("file_storage")
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.StorageID, queue.NumConsumers = &id, 2
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval, retry.MaxInterval, retry.MaxElapsedTime = time.Hour, time.Hour, 0
	return &collector{
		t: t, directory: cfg.Directory, host: host{id: ext}, sending: make(chan struct{}, 100),
		options: []exporterhelper.Option{exporterhelper.WithQueue(configoptional.Some(queue)), exporterhelper.WithRetry(retry)},
	}
}

// run starts an exporter, queues requests with the metadata of a client, which the Collector
// stores with them, and shuts it down when two are being sent.
func (c *collector) run(e component.Component, err error, fill func(ctx context.Context) error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := e.Start(c.t.Context(), c.host); err != nil {
		c.t.Fatal(err)
	}
	ctx := client.NewContext(c.t.Context(), client.Info{Metadata: client.NewMetadata(map[string][]string{"tenant": {"a"}})})
	if err := fill(ctx); err != nil {
		c.t.Fatal(err)
	}
	<-c.sending
	<-c.sending
	if err := e.Shutdown(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *collector) fail() error {
	c.sending <- struct{}{}
	return errDead
}

// fill leaves n undelivered requests of each signal, and returns them.
func (c *collector) fill(n int) (traces, metrics, logs [][]byte) {
	c.t.Helper()
	set := exportertest.NewNopSettings(component.MustNewType("otlp"))
	set.ID = component.MustNewID("otlp")
	must := func(b []byte, err error) []byte {
		if err != nil {
			c.t.Fatal(err)
		}
		return b
	}
	et, err := exporterhelper.NewTraces(c.t.Context(), set, &struct{}{}, func(context.Context, ptrace.Traces) error { return c.fail() }, c.options...)
	c.run(et, err, func(ctx context.Context) error {
		for i := range n {
			data := ptrace.NewTraces()
			data.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName(fmt.Sprint("span ", i))
			traces = append(traces, must((&ptrace.ProtoMarshaler{}).MarshalTraces(data)))
			if err := et.ConsumeTraces(ctx, data); err != nil {
				return err
			}
		}
		return nil
	})
	em, err := exporterhelper.NewMetrics(c.t.Context(), set, &struct{}{}, func(context.Context, pmetric.Metrics) error { return c.fail() }, c.options...)
	c.run(em, err, func(ctx context.Context) error {
		for i := range n {
			data := pmetric.NewMetrics()
			data.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(int64(i))
			metrics = append(metrics, must((&pmetric.ProtoMarshaler{}).MarshalMetrics(data)))
			if err := em.ConsumeMetrics(ctx, data); err != nil {
				return err
			}
		}
		return nil
	})
	el, err := exporterhelper.NewLogs(c.t.Context(), set, &struct{}{}, func(context.Context, plog.Logs) error { return c.fail() }, c.options...)
	c.run(el, err, func(ctx context.Context) error {
		for i := range n {
			data := plog.NewLogs()
			data.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(fmt.Sprint("log ", i))
			logs = append(logs, must((&plog.ProtoMarshaler{}).MarshalLogs(data)))
			if err := el.ConsumeLogs(ctx, data); err != nil {
				return err
			}
		}
		return nil
	})
	return traces, metrics, logs
}
