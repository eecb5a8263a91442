package otlpreceiver

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the receiver to a service.
func Component() component.Descriptor {
	return component.OfReceiver("otlp", component.AllSignals("Alpha"), DefaultConfig, New)
}

// Listens implements component.Listener. Where both protocols share a port, it is
// listed once.
func (c *Config) Listens() []component.Listen {
	var all []component.Listen
	if g := c.Protocols.GRPC; g != nil {
		all = append(all, component.Listen{Key: "protocols.grpc.endpoint", Transport: g.Transport, Address: g.Endpoint})
	}
	if h := c.Protocols.HTTP; h != nil && !c.OnePort() {
		all = append(all, component.Listen{Key: "protocols.http.endpoint", Transport: h.Transport, Address: h.Endpoint})
	}
	return all
}

// Endpoints implements component.Server. Protocols that share a port have the same
// address.
func (r *Receiver) Endpoints() []component.Endpoint {
	var all []component.Endpoint
	if a := r.GRPCAddr(); a != nil {
		all = append(all, component.Endpoint{Protocol: grpcProtocol, Addr: a, Secure: r.cfg.Protocols.GRPC.TLS != nil})
	}
	if a := r.HTTPAddr(); a != nil {
		all = append(all, component.Endpoint{Protocol: httpProtocol, Addr: a, Secure: r.cfg.Protocols.HTTP.TLS != nil})
	}
	return all
}
