package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/service/internal/load"
	"github.com/penstock-telemetry/penstock/service/internal/selfobs"
)

// host implements component.Host, the view that extensions have of the service.
type host struct{ s *Service }

func (h host) Readiness() (time.Time, error) { return h.s.readiness() }

func (h host) Status(ctx context.Context) (component.Status, error) { return h.s.status(ctx) }

func (s *Service) isReady() bool {
	_, err := s.readiness()
	return err == nil
}

// readiness returns the time since which all listeners accept data, or why they
// do not.
func (s *Service) readiness() (since time.Time, err error) {
	if !s.ready.Load() {
		return time.Time{}, errors.New("starting or shutting down")
	}
	if err := s.graph().Healthy(); err != nil {
		return time.Time{}, err
	}
	return s.readySince, nil
}

// Healthy returns nil while all listeners accept data. It takes the locks of the memory
// budget and of the receivers, so that it does not return if requests are stuck there.
func (s *Service) Healthy() error {
	_, err := s.readiness()
	s.process.memory.budget.Stats()
	return err
}

// status returns the data of component.Host.Status.
func (s *Service) status(ctx context.Context) (component.Status, error) {
	now := component.Status{Taken: time.Now(), Version: s.opts.Version, FeatureGates: load.FeatureGates()}
	var err error
	if now.Since, err = s.readiness(); err != nil {
		now.NotReady = err.Error()
	}
	cfg := s.config()
	text, err := cfg.YAML()
	if err != nil {
		return now, err
	}
	now.Config = string(text)
	for _, p := range cfg.Pipelines {
		now.Pipelines = append(now.Pipelines, component.PipelineStatus{
			ID: p.ID, Signal: p.Signal.String(), MutatesData: s.graph().Mutates[p],
			Receivers: load.IDs(p.Receivers), Processors: load.IDs(p.Processors), Exporters: load.IDs(p.Exporters),
		})
	}
	for _, e := range cfg.Extensions {
		now.Extensions = append(now.Extensions, component.ExtensionStatus{ID: e.ID, Type: e.Descriptor.Type})
	}
	now.Queues, now.Reload = s.graph().Queues(), s.reloads.status()
	if b := s.process.memory.budget.Stats(); b.Limit > 0 {
		now.Budget = component.BudgetStatus{
			Limit: b.Limit, Used: b.Used, Peak: b.Peak, Requests: b.Admitted, Waiting: b.Waiting, RefusedSoFar: b.Refused(),
		}
	}
	return now, s.process.metrics.Counts(ctx, &now)
}

// An Address is an address at which a running service listens.
type Address struct {
	// Kind and ID name the component that listens; both are empty for the service's
	// own metrics endpoint.
	Kind component.Kind
	ID   string
	// Protocol is "OTLP/gRPC", "OTLP/HTTP", "metrics" and so on.
	Protocol string
	// Address is host:port, a URL for HTTP, or the path of a socket.
	Address string
	// Signals are the signals that a receiver accepts there: "traces, logs".
	Signals string
}

// Addresses returns every address at which the service listens, after Start. A
// port 0 in the configuration is replaced by the actual port.
func (s *Service) Addresses() []Address {
	all := s.componentAddresses()
	for _, url := range s.process.metrics.URLs() {
		all = append(all, Address{Protocol: "metrics", Address: url})
	}
	return all
}

func (s *Service) componentAddresses() []Address {
	var all []Address
	for _, at := range s.graph().Endpoints() {
		address := at.Addr.String()
		if strings.HasSuffix(at.Protocol, "HTTP") && at.Addr.Network() == "tcp" {
			address = "http://" + address
			if at.Secure {
				address = "https" + strings.TrimPrefix(address, "http")
			}
		}
		all = append(all, Address{at.Component.Kind, at.Component.ID, at.Protocol, address, signalNames(at.Signals)})
	}
	return all
}

func signalNames(signals []otlp.Signal) string {
	var names []string
	for _, s := range signals {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}

// summary returns the summary that is logged at start.
func (s *Service) summary() selfobs.Summary {
	cfg := s.config()
	sum := selfobs.Summary{
		Version: s.opts.Version, BuiltIn: cfg.BuiltIn, Metrics: s.process.metrics.URLs(), Memory: s.process.memory.texts(),
	}
	for _, q := range s.graph().Queues() {
		place := q.Warning
		switch {
		case place != "":
		case q.Place != "":
			place = "on disk in " + q.Place
		default:
			place = "in memory: senders wait until the destination has their data"
		}
		if !slices.Contains(sum.Queues, place) {
			sum.Queues = append(sum.Queues, place)
		}
	}
	for _, a := range s.componentAddresses() {
		sum.Listening = append(sum.Listening, selfobs.Listening{Kind: string(a.Kind), Protocol: a.Protocol, Address: a.Address, Signals: a.Signals})
	}
	for _, p := range cfg.Pipelines {
		steps := []string{strings.Join(load.IDs(p.Receivers), ", ")}
		steps = append(steps, load.IDs(p.Processors)...)
		steps = append(steps, strings.Join(load.IDs(p.Exporters), ", "))
		sum.Pipelines = append(sum.Pipelines, selfobs.Path{Pipeline: p.ID, Path: strings.Join(steps, " → ")})
	}
	return sum
}
