package service

import (
	"net"
	"net/netip"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/conf"
)

// A listener is an address that a configuration asks for.
type listener struct {
	transport string // tcp, tcp4, tcp6 or unix
	address   string
	path      string     // of its key
	node      *conf.Node // the key's, or the nearest above it; nil if there is none
}

// listenerAt is the listener whose address is, or by default would be, at keys
// below n.
func listenerAt(n *conf.Node, transport, address string, keys ...string) listener {
	at, path := nearest(n, keys...)
	return listener{transport: transport, address: address, path: path, node: at}
}

// checkListeners finds addresses that two want. The second is told, unless it is
// a default that nobody wrote.
func (l *loader) checkListeners() {
	var all []listener
	for _, c := range l.cfg.components {
		all = append(all, c.listens...)
	}
	all = append(all, l.cfg.listeners...)
	for i, second := range all {
		for _, first := range all[:i] {
			if !second.clashes(first) {
				continue
			}
			told, other := second, first
			if told.node == nil {
				told, other = first, second
			}
			l.problems.Add(told.node.KeyErrorf("%s is taken already by %s (%s)", told.address, other.path, other.address))
			break
		}
	}
}

// clashes says whether binding both is sure to fail. Port 0 is a new one each
// time.
func (a listener) clashes(b listener) bool {
	if a.transport == "unix" || b.transport == "unix" {
		return a.transport == b.transport && a.address == b.address
	}
	hostA, portA, errA := net.SplitHostPort(a.address)
	hostB, portB, errB := net.SplitHostPort(b.address)
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
