package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

// fakeNet answers as a machine would: failures by host, and ports that are in use.
type fakeNet struct {
	fails map[string]error
	inUse map[string]int // the first n ports of a host
	ports int
	open  map[string]bool
}

func (f *fakeNet) listen(address string) (net.Listener, error) {
	host, port, _ := net.SplitHostPort(address)
	if err := f.fails[host]; err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: err}
	}
	if port == "0" {
		f.ports++
		port = fmt.Sprint(1000 + f.ports)
	}
	if f.inUse[host] > 0 {
		f.inUse[host]--
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	f.open[net.JoinHostPort(host, port)] = true
	return &fakeListener{f: f, address: net.JoinHostPort(host, port)}, nil
}

type fakeListener struct {
	net.Listener
	f       *fakeNet
	address string
}

func (l *fakeListener) Addr() net.Addr { a, _ := net.ResolveTCPAddr("tcp", l.address); return a }

func (l *fakeListener) Close() error { delete(l.f.open, l.address); return nil }

// What a machine without one of the addresses, or without a free port, answers.
func TestLoopbackMachines(t *testing.T) {
	t.Parallel()
	missing := map[string]error{
		"no address":             os.NewSyscallError("bind", syscall.EADDRNOTAVAIL),
		"no family":              os.NewSyscallError("socket", syscall.EAFNOSUPPORT),
		"no family, said by net": &net.AddrError{Err: "no suitable address found", Addr: "::1"},
	}
	both := LoopbackHosts("tcp", "localhost")
	for name, err := range missing {
		for _, host := range both {
			f := &fakeNet{fails: map[string]error{host: err}, open: map[string]bool{}}
			l, err := listenLoopback(both, "0", f.listen)
			if err != nil || len(f.open) != 1 || !f.open[l.Addr().String()] {
				t.Errorf("%s, %s: %v, open %v", name, host, err, f.open)
			}
		}
		f := &fakeNet{fails: map[string]error{"127.0.0.1": err, "::1": err}, open: map[string]bool{}}
		if _, err := listenLoopback(both, "0", f.listen); err == nil {
			t.Errorf("%s: no error although there is no address", name)
		}
	}
	f := &fakeNet{inUse: map[string]int{"::1": 3}, open: map[string]bool{}}
	if _, err := listenLoopback(both, "0", f.listen); err != nil || !f.open["127.0.0.1:1004"] || !f.open["[::1]:1004"] || len(f.open) != 2 {
		t.Errorf("the fourth port is free: %v, open %v", err, f.open)
	}
	f = &fakeNet{inUse: map[string]int{"::1": 1000}, open: map[string]bool{}}
	if _, err := listenLoopback(both, "0", f.listen); !errors.Is(err, syscall.EADDRINUSE) || len(f.open) != 0 {
		t.Errorf("no port is free: %v, open %v", err, f.open)
	}
	f = &fakeNet{inUse: map[string]int{"::1": 1}, open: map[string]bool{}}
	if _, err := listenLoopback(both, "4317", f.listen); !errors.Is(err, syscall.EADDRINUSE) || len(f.open) != 0 {
		t.Errorf("the port is in use: %v, open %v", err, f.open)
	}
}
