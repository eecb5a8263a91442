package graph

import (
	"errors"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/metric"
)

// meters is the MeterProvider of one part. It knows the callbacks that the part has
// registered, and can end those that are left: a part that was created and never started
// has no other end.
type meters struct {
	metric.MeterProvider

	mu   sync.Mutex
	open []metric.Registration
}

// Meter implements metric.MeterProvider.
func (m *meters) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	return &meter{m.MeterProvider.Meter(name, opts...), m}
}

// close ends the callbacks.
func (m *meters) close() error {
	m.mu.Lock()
	open := m.open
	m.open = nil
	m.mu.Unlock()
	var errs []error
	for _, r := range open {
		errs = append(errs, r.Unregister())
	}
	return errors.Join(errs...)
}

// meter is a Meter of meters.
type meter struct {
	metric.Meter
	of *meters
}

// RegisterCallback implements metric.Meter.
func (m *meter) RegisterCallback(f metric.Callback, instruments ...metric.Observable) (metric.Registration, error) {
	r, err := m.Meter.RegisterCallback(f, instruments...)
	if err != nil {
		return nil, err
	}
	known := &registration{r, m.of}
	m.of.mu.Lock()
	defer m.of.mu.Unlock()
	m.of.open = append(m.of.open, known)
	return known, nil
}

// registration is a Registration of meters.
type registration struct {
	metric.Registration
	of *meters
}

// Unregister implements metric.Registration.
func (r *registration) Unregister() error {
	r.of.mu.Lock()
	r.of.open = slices.DeleteFunc(r.of.open, func(other metric.Registration) bool { return other == r })
	r.of.mu.Unlock()
	return r.Registration.Unregister()
}
