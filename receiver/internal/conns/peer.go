package conns

import (
	"cmp"
	"net"
	"net/netip"
	"sync/atomic"
)

// Peer is the client at the other end of a connection.
type Peer struct {
	// Host is the client's IP address, by which logs know it. All clients of a
	// unix socket are one: "unix".
	Host string
	// Share stands for the client in fair shares of memory: its address, of which
	// IPv6 gives a client 2^64 (RFC 6177) that count as one, or its process, which
	// Linux names for unix sockets.
	Share string
	// Addr is its address and port.
	Addr string
	// Local is the address of this machine that the client has connected to, the zero
	// value for a unix socket.
	Local netip.AddrPort
	// Requests counts what came over the connection, for those who look at some of
	// the requests only.
	Requests atomic.Uint32
}

func (p *Peer) init(c net.Conn) {
	a := c.RemoteAddr()
	p.Addr = a.String()
	ap, err := netip.ParseAddrPort(p.Addr)
	if err != nil {
		p.Host, p.Share = a.Network(), a.Network()
		if a.Network() == "unix" {
			p.Share = cmp.Or(unixShare(c), p.Share)
		}
		return
	}
	if to, err := netip.ParseAddrPort(c.LocalAddr().String()); err == nil {
		p.Local = netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port())
	}
	ip := ap.Addr().Unmap().WithZone("")
	p.Host, p.Share = ip.String(), ip.String()
	if !ip.Is4() {
		const networkBits = 64
		p.Share = netip.PrefixFrom(ip, networkBits).Masked().String()
	}
}
