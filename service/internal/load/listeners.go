package load

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/conf"
)

// A Listener is an address that a configuration asks for.
type Listener struct {
	Address string
	// Path is the path of its key: "exporters.otlp.endpoint".
	Path string
	// Written reports that the configuration contains the key, or a section
	// above it.
	Written bool

	transport string     // tcp, tcp4, tcp6 or unix
	node      *conf.Node // of the key, or the nearest above it; nil if there is none
}

// listenerAt returns the listener whose address is, or by default would be, at
// keys below n.
func listenerAt(n *conf.Node, transport, address string, keys ...string) Listener {
	at, path := nearest(n, keys...)
	return Listener{Address: address, Path: path, Written: true, transport: transport, node: at}
}

// checkListeners finds addresses that two components want. The error is reported
// at the second, or at the first if the second is a default that is not written.
func (l *loader) checkListeners() {
	var all []Listener
	for _, c := range l.cfg.Components {
		if listens, ok := c.Config.(component.Listener); ok && !c.broken {
			for _, at := range listens.Listens() {
				all = append(all, listenerAt(c.node, at.Transport, at.Address, strings.Split(at.Key, ".")...))
			}
		}
	}
	all = append(all, l.cfg.MetricsListeners...)
	for i, second := range all {
		for _, first := range all[:i] {
			if !second.clashes(first) {
				continue
			}
			reported, other := second, first
			if reported.node == nil {
				reported, other = first, second
			}
			l.problems.Add(reported.node.KeyErrorf("%s is already used by %s (%s)", reported.Address, other.Path, other.Address))
			break
		}
	}
}

// clashes reports whether binding both addresses is certain to fail. Port 0 is
// a different port each time.
func (a Listener) clashes(b Listener) bool {
	if a.transport == "unix" || b.transport == "unix" {
		return a.transport == b.transport && a.Address == b.Address
	}
	hostA, portA, errA := net.SplitHostPort(a.Address)
	hostB, portB, errB := net.SplitHostPort(b.Address)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	if anyHost(hostA) || anyHost(hostB) {
		return true
	}
	hostsB := hosts(b.transport, hostB)
	return slices.ContainsFunc(hosts(a.transport, hostA), func(host string) bool { return slices.Contains(hostsB, host) })
}

// hosts returns the addresses that a host stands for, or its name.
func hosts(transport, host string) []string {
	if loopback := config.LoopbackHosts(transport, host); loopback != nil {
		return loopback
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{ip.Unmap().String()}
	}
	return []string{strings.ToLower(host)}
}

// anyHost reports whether host stands for all addresses of the machine.
func anyHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}
