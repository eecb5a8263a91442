package config

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// address is what a TCP socket is bound to. any: all addresses of a family.
type address struct {
	ip     netip.Addr // not of any
	port   int
	any    bool
	v4, v6 bool
}

// boundTo returns the address of a listener; that of a unix socket overlaps with none.
func boundTo(transport string, a net.Addr) address {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return address{}
	}
	ip, _ := netip.AddrFromSlice(t.IP)
	ip = ip.Unmap()
	at := address{ip: ip, port: t.Port, any: !ip.IsValid() || ip.IsUnspecified()}
	switch {
	case transport == "tcp4":
		at.v4 = true
	case transport == "tcp6":
		at.v6 = true
	case at.any: // package net listens on both families, also for 0.0.0.0
		at.v4, at.v6 = true, true
	default:
		at.v4, at.v6 = ip.Is4(), ip.Is6()
	}
	if at.any {
		at.ip = netip.Addr{}
	}
	return at
}

// overlaps reports whether a connection can be for both.
func (a address) overlaps(b address) bool {
	return a.port == b.port && (a.any || b.any || a.ip == b.ip) && (a.v4 && b.v4 || a.v6 && b.v6)
}

// includes reports whether all connections for b are for a.
func (a address) includes(b address) bool {
	return a.overlaps(b) && (a.any || !b.any) && (a.v4 || !b.v4) && (a.v6 || !b.v6)
}

// handover is one call of Listen, with what it gets of retiring listeners.
type handover struct {
	registry *Listeners
	beside   map[net.Listener][]*socket // sockets with overlapping addresses that stay open meanwhile
}

// openSocket stands for a socket that is shared. Closing it does nothing: it is not used
// yet.
type openSocket struct{ *socket }

// Close implements net.Listener.
func (openSocket) Close() error { return nil }

// available reports whether the socket may be shared now. The lock is held.
func (s *socket) available() bool {
	r := s.registry
	if !r.handing || s.passedIn == r.phase || s.draining || len(s.users) == 0 {
		return false
	}
	for _, u := range s.users {
		if !r.isRetiring(u.options.Key) {
			return false
		}
	}
	return true
}

// sameEndpoint returns the sockets of a retiring listener with the same endpoint, nil if
// there is none. Port 0 is kept by the component that has it.
func (h *handover) sameEndpoint(o ListenOptions) ([]net.Listener, error) {
	h.registry.mu.Lock()
	defer h.registry.mu.Unlock()
	for _, old := range h.registry.open {
		if old.options.Transport != o.Transport || old.options.Endpoint != o.Endpoint ||
			isPortZero(o.Endpoint) && old.options.Key != o.Key {
			continue
		}
		var found []net.Listener
		for _, s := range old.sockets {
			if s.available() && s.stillAt(o) {
				found = append(found, openSocket{s})
			}
		}
		if len(found) > 0 {
			return found, setMode(found[0].(openSocket).Listener, old.options, o)
		}
	}
	return nil, nil
}

func isPortZero(endpoint string) bool {
	_, port, err := net.SplitHostPort(endpoint)
	return err == nil && (port == "0" || port == "")
}

// stillAt reports whether clients that connect to the endpoint reach the socket: the file
// of a unix socket may have been replaced.
func (s *socket) stillAt(o ListenOptions) bool {
	u, ok := s.Listener.(*socketListener)
	return !ok || u.inPlace()
}

// setMode gives the file of a unix socket the mode that o asks for, where it differs from
// that of before.
func setMode(l net.Listener, before, o ListenOptions) error {
	u, ok := l.(*socketListener)
	if !ok || before.SocketMode == o.SocketMode {
		return nil
	}
	mode := o.SocketMode
	if mode == 0 {
		mode = fs.ModePerm &^ umask()
	}
	return os.Chmod(u.path, mode)
}

// bind listens on one address: on the socket of a retiring listener if one has exactly
// this address, or beside those with overlapping addresses.
func (h *handover) bind(ctx context.Context, network, endpoint string) (net.Listener, error) {
	all := h.overlapping(network, endpoint)
	for _, s := range all {
		if s.at == wanted(network, endpoint) {
			return openSocket{s}, nil
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, network, endpoint)
	if len(all) == 0 || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	second, besideErr := bindBeside(ctx, network, endpoint, all)
	if besideErr != nil {
		return nil, err
	}
	if h.beside == nil {
		h.beside = map[net.Listener][]*socket{}
	}
	h.beside[second] = all
	return second, nil
}

// wanted returns the address that an endpoint names.
func wanted(network, endpoint string) address {
	t, err := net.ResolveTCPAddr(network, endpoint)
	if err != nil {
		return address{}
	}
	return boundTo(network, t)
}

// overlapping returns the available sockets whose address overlaps with an endpoint's.
func (h *handover) overlapping(network, endpoint string) (all []*socket) {
	h.registry.mu.Lock()
	defer h.registry.mu.Unlock()
	if !h.registry.handing {
		return nil
	}
	at := wanted(network, endpoint)
	for _, l := range h.registry.open {
		for _, s := range l.sockets {
			if at.port != 0 && s.users[0] == l && s.available() && s.at.overlaps(at) {
				all = append(all, s)
			}
		}
	}
	return all
}

// link makes the user of a new socket the successor of those beside it, and the other way
// round: whichever is closed first, the other one accepts what has arrived. The lock is
// held.
func (h *handover) link(s *socket, part net.Listener) {
	for _, other := range h.beside[part] {
		other.successor, other.keep = s.users[0], s.at.includes(other.at)
		s.successor, s.keep = other.users[0], other.at.includes(s.at)
	}
}
