// Package hostcheck decides by the Host header whether a server of pages answers a
// request.
package hostcheck

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Hosts are the host names under which a server answers. A web page can make a
// browser request http://evil.example/ and let that name resolve to this machine (DNS
// rebinding); the Host header of such a request is evil.example. A request whose Host
// is an IP address cannot come from such an attack.
type Hosts struct {
	names []string // in lower case, without port and brackets
	// public reports that the server listens on addresses that other machines
	// can reach, so that every IP address is accepted.
	public bool
	// any accepts all names.
	any bool
}

// Of returns the hosts of a server that is bound to addr, with the endpoint host:port
// and further names as they are configured. If openWhenPublic is set and other
// machines can reach the server, all names are accepted.
func Of(addr net.Addr, endpoint string, further []string, openWhenPublic bool) Hosts {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return Hosts{any: true} // browsers cannot connect to a socket in the file system
	}
	h := Hosts{names: []string{"localhost"}, public: !tcp.IP.IsLoopback()}
	h.any = openWhenPublic && h.public
	if host, _, err := net.SplitHostPort(endpoint); err == nil && host != "" {
		h.names = append(h.names, plain(host))
	}
	for _, name := range further {
		h.names = append(h.names, plain(name))
	}
	return h
}

// Allow reports whether the server answers a request with this Host header.
func (h Hosts) Allow(hostHeader string) bool {
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
