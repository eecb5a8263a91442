package webserver

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// hosts decides by the Host header whether a request may be answered. A page on
// the web can make a browser ask for http://evil.example/ and let that name
// resolve to this machine (DNS rebinding); such a request names evil.example. One
// that names an address was not made that way.
type hosts struct {
	names []string // in lower case, without port and brackets
	// public says that the server can be reached from other machines anyway, so
	// that any address is a fair name for it.
	public bool
	// any answers under all names.
	any bool
}

// hostsOf are those of a server with configuration c that is bound to addr.
// open answers under all names if the server is public.
func hostsOf(c *config.WebServer, addr net.Addr, open bool) hosts {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return hosts{any: true} // no browser gets to a socket in the file system
	}
	h := hosts{names: []string{"localhost"}, public: !tcp.IP.IsLoopback()}
	h.any = open && h.public
	if host, _, err := net.SplitHostPort(c.Endpoint); err == nil && host != "" {
		h.names = append(h.names, plain(host))
	}
	for _, name := range c.AllowedHosts {
		h.names = append(h.names, plain(name))
	}
	return h
}

func (h hosts) allow(hostHeader string) bool {
	if h.any {
		return true
	}
	host := hostHeader
	if name, _, err := net.SplitHostPort(hostHeader); err == nil {
		host = name
	}
	if host = plain(host); host == "" {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil && (h.public || ip.IsLoopback()) {
		return true
	}
	return slices.Contains(h.names, host)
}

// plain takes brackets and the dot of a fully qualified name off.
func plain(host string) string {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
