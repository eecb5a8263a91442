package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

type heartbeatConfig struct {
	Interval time.Duration `yaml:"interval"`
}

func defaultHeartbeat() heartbeatConfig { return heartbeatConfig{Interval: time.Minute} }

// Validate is called when the configuration is loaded; its error has the place.
func (c *heartbeatConfig) Validate() error {
	if c.Interval <= 0 {
		return config.Atf("interval", "must be positive")
	}
	return nil
}

// heartbeat is a receiver that makes a log record at an interval.
type heartbeat struct {
	interval time.Duration
	log      *slog.Logger
	next     pipeline.Consumer
	stop     context.CancelFunc
	done     sync.WaitGroup
}

func newHeartbeat(cfg heartbeatConfig, set component.Settings) (*heartbeat, error) {
	return &heartbeat{interval: cfg.Interval, log: set.Logger}, nil
}

func (h *heartbeat) Register(_ otlp.Signal, next pipeline.Consumer) error {
	h.next = next
	return nil
}

func (h *heartbeat) Start(context.Context) error {
	if h.stop != nil {
		return nil // it runs already
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	h.done.Go(func() { h.run(ctx) })
	return nil
}

func (h *heartbeat) Shutdown(context.Context) error {
	if h.stop != nil {
		h.stop()
	}
	h.done.Wait()
	return nil
}

func (h *heartbeat) run(ctx context.Context) {
	tick := time.NewTicker(h.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := h.beat(ctx, now); err != nil {
				h.log.Warn("send a heartbeat", "error", err)
			}
		}
	}
}

func (h *heartbeat) beat(ctx context.Context, now time.Time) error {
	b, err := pipeline.NewBatch(otlp.Logs, heartbeatRequest(now), nil)
	if err != nil {
		return err
	}
	defer b.Release()
	return h.next.Consume(ctx, b)
}

func heartbeatRequest(now time.Time) []byte {
	var e otlp.Encoder
	logs := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
	scope := logs.AddScopeLogs()
	record := scope.AddLogRecords()
	record.SetTimeUnixNano(uint64(now.UnixNano()))
	body := record.SetBody()
	body.SetStringValue("still here")
	body.Close()
	record.Close()
	scope.Close()
	logs.Close()
	return e.Buf
}
