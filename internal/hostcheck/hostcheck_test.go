package hostcheck

import (
	"net"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	public := &net.TCPAddr{IP: net.IPv4zero, Port: 80}
	for name, c := range map[string]struct {
		hosts        Hosts
		allow, never string
	}{
		"loopback":        {Of(loopback, "localhost:80", []string{"Pages.example"}, true), "localhost localhost:80 LOCALHOST. 127.0.0.1:81 [::1]:80 ::1 pages.example:80", "evil.example 192.0.2.1 localhost.evil.example"},
		"a name":          {Of(loopback, "me.internal:80", nil, true), "me.internal localhost", "evil.example"},
		"public":          {Of(public, "0.0.0.0:80", nil, false), "localhost 192.0.2.1:80 [2001:db8::1]", "evil.example"},
		"public and open": {Of(public, ":80", nil, true), "evil.example penstock.monitoring.svc:80 192.0.2.1", ""},
		"a socket":        {Of(&net.UnixAddr{Name: "/run/x"}, "/run/x", nil, false), "localhost anything", ""},
	} {
		for _, host := range strings.Fields(c.allow) {
			if !c.hosts.Allow(host) {
				t.Errorf("%s: %s is refused", name, host)
			}
		}
		for _, host := range strings.Fields(c.never) {
			if c.hosts.Allow(host) {
				t.Errorf("%s: %s is accepted", name, host)
			}
		}
		if !c.hosts.any && c.hosts.Allow("") {
			t.Errorf("%s: a request without Host is accepted", name)
		}
	}
}
