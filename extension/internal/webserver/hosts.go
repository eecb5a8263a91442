package webserver

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// hosts decides by the Host header whether a request is accepted. A web page can
// make a browser request http://evil.example/ and let that name resolve to this
// machine (DNS rebinding); the Host header of such a request is evil.example. A
// request whose Host is an IP address cannot come from such an attack.
type hosts struct {
	names []string // in lower case, without port and brackets
	// public reports that the server listens on addresses that other machines
	// can reach, so that every IP address is accepted.
	public bool
	// any accepts all names.
	any bool
}

// hostsOf returns the hosts of a server with configuration c that is bound to
// addr. If open is set and the server is public, all names are accepted.
func hostsOf(c *config.WebServer, addr net.Addr, open bool) hosts {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return hosts{any: true} // browsers cannot connect to a socket in the file system
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

// plain removes brackets and the dot at the end of a fully qualified name.
func plain(host string) string {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
