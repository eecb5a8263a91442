package load

import (
	"net"
	"net/netip"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/conf"
)

// A Listener is an address that a configuration asks for.
type Listener struct {
	Address string
	// Path is that of its key: "exporters.otlp.endpoint".
	Path string
	// Written says that somebody wrote the key, or a section above it.
	Written bool

	transport string     // tcp, tcp4, tcp6 or unix
	node      *conf.Node // the key's, or the nearest above it; nil if there is none
}

// listenerAt is the listener whose address is, or by default would be, at keys
// below n.
func listenerAt(n *conf.Node, transport, address string, keys ...string) Listener {
	at, path := nearest(n, keys...)
	return Listener{Address: address, Path: path, Written: true, transport: transport, node: at}
}

// checkListeners finds addresses that two want. The second is told, unless it is
// a default that nobody wrote.
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
			told, other := second, first
			if told.node == nil {
				told, other = first, second
			}
			l.problems.Add(told.node.KeyErrorf("%s is taken already by %s (%s)", told.Address, other.Path, other.Address))
			break
		}
	}
}

// clashes says whether binding both is sure to fail. Port 0 is a new one each
// time.
func (a Listener) clashes(b Listener) bool {
	if a.transport == "unix" || b.transport == "unix" {
		return a.transport == b.transport && a.Address == b.Address
	}
	hostA, portA, errA := net.SplitHostPort(a.Address)
	hostB, portB, errB := net.SplitHostPort(b.Address)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return anyHost(hostA) || anyHost(hostB) || plainHost(hostA) == plainHost(hostB)
}

// anyHost says whether host stands for all addresses of the machine.
func anyHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func plainHost(host string) string {
	host = strings.ToLower(host)
	if host == "localhost" {
		return "127.0.0.1"
	}
	return host
}
