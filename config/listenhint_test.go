package config

import (
	"runtime"
	"strings"
	"testing"
)

// The error about an address in use says which command shows the process that has it, and
// which key moves the listener.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	const key = "receivers.otlp.protocols.grpc.endpoint"
	for _, c := range []struct {
		o            ListenOptions
		system, want string
	}{
		{ListenOptions{Endpoint: "localhost:4317", Key: key}, "linux", " (ss -ltnp 'sport = :4317' shows which process); choose another address with " + key + ", or --set " + key + "=localhost:14317"},
		{ListenOptions{Endpoint: "[::1]:60000", Key: key}, "darwin", " (lsof -nP -iTCP:60000 -sTCP:LISTEN shows which process); choose another address with " + key + ", or --set " + key + "=host:port"},
		{ListenOptions{Endpoint: ":80"}, "windows", " (netstat -ano | findstr :80 shows which process)"},
		{ListenOptions{Transport: "unix", Endpoint: "/run/a", Key: key}, "linux", " (ss -lxp src /run/a shows which process); choose another address with " + key + ", or --set " + key + "=path"},
		{ListenOptions{Transport: "unix", Endpoint: "/a b"}, "freebsd", ` (lsof "/a b" shows which process)`},
	} {
		if got := c.o.whoListens(c.system) + c.o.elsewhere(); got != c.want {
			t.Errorf("%+v on %s:\ngot  %s\nwant %s", c.o, c.system, got, c.want)
		}
	}
	l, err := Listen(t.Context(), ListenOptions{Endpoint: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := ListenOptions{Endpoint: l.Addr().String(), Key: key}
	_, err = Listen(t.Context(), o)
	if want := o.whoListens(runtime.GOOS) + o.elsewhere(); err == nil || !strings.HasSuffix(err.Error(), "uses this address"+want) {
		t.Errorf("got %v", err)
	}
}
