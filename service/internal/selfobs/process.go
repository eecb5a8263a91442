package selfobs

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/metric"
)

// processScope names the meter of the process's own metrics.
const processScope = "github.com/penstock-telemetry/penstock/service"

// NewInstanceID returns a service.instance.id.
func NewInstanceID() string { return uuid.NewString() }

// processMetrics are the process metrics of the Collector, with the same names
// and meanings.
type processMetrics struct {
	uptime, cpu               metric.Float64Observable
	rss, heap, allocated, sys metric.Int64Observable

	started time.Time
	os      *prometheus.Registry // reads RSS and CPU on every system that penstock runs on

	mu      sync.Mutex
	memory  runtime.MemStats
	sampled time.Time // of memory
}

// memoryFor is how long a sample of the heap is reused: reading one stops the
// world.
const memoryFor = time.Second

// measureProcess registers metrics that observe the process at every
// collection.
func measureProcess(mp metric.MeterProvider) error {
	p := &processMetrics{started: time.Now(), os: prometheus.NewRegistry()}
	if err := p.os.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return fmt.Errorf("measure the process: %w", err)
	}
	m := mp.Meter(processScope)
	var errs [6]error
	p.uptime, errs[0] = m.Float64ObservableCounter("otelcol_process_uptime", metric.WithUnit("s"),
		metric.WithDescription("Uptime of the process"))
	p.cpu, errs[1] = m.Float64ObservableCounter("otelcol_process_cpu_seconds", metric.WithUnit("s"),
		metric.WithDescription("Total CPU user and system time in seconds"))
	p.rss, errs[2] = m.Int64ObservableGauge("otelcol_process_memory_rss", metric.WithUnit("By"),
		metric.WithDescription("Total physical memory (resident set size)"))
	p.heap, errs[3] = m.Int64ObservableGauge("otelcol_process_runtime_heap_alloc_bytes", metric.WithUnit("By"),
		metric.WithDescription("Bytes of allocated heap objects (see 'go doc runtime.MemStats.HeapAlloc')"))
	p.allocated, errs[4] = m.Int64ObservableCounter("otelcol_process_runtime_total_alloc_bytes", metric.WithUnit("By"),
		metric.WithDescription("Cumulative bytes allocated for heap objects (see 'go doc runtime.MemStats.TotalAlloc')"))
	p.sys, errs[5] = m.Int64ObservableGauge("otelcol_process_runtime_total_sys_memory_bytes", metric.WithUnit("By"),
		metric.WithDescription("Total bytes of memory obtained from the OS (see 'go doc runtime.MemStats.Sys')"))
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("measure the process: %w", err)
		}
	}
	if _, err := m.RegisterCallback(p.observe, p.uptime, p.cpu, p.rss, p.heap, p.allocated, p.sys); err != nil {
		return fmt.Errorf("measure the process: %w", err)
	}
	return nil
}

func (p *processMetrics) observe(_ context.Context, o metric.Observer) error {
	o.ObserveFloat64(p.uptime, time.Since(p.started).Seconds())
	p.observeMemory(o)
	families, err := p.os.Gather()
	if err != nil {
		return fmt.Errorf("read the process metrics from the system: %w", err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "process_cpu_seconds_total":
			o.ObserveFloat64(p.cpu, f.GetMetric()[0].GetCounter().GetValue())
		case "process_resident_memory_bytes":
			o.ObserveInt64(p.rss, int64(f.GetMetric()[0].GetGauge().GetValue()))
		}
	}
	return nil
}

func (p *processMetrics) observeMemory(o metric.Observer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.sampled) >= memoryFor {
		runtime.ReadMemStats(&p.memory)
		p.sampled = now
	}
	o.ObserveInt64(p.heap, int64(p.memory.HeapAlloc))
	o.ObserveInt64(p.allocated, int64(p.memory.TotalAlloc))
	o.ObserveInt64(p.sys, int64(p.memory.Sys))
}
