package config_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/penstock-telemetry/penstock/config"
)

// needIPv6 skips a test on a machine without ::1.
func needIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6: %v", err)
	}
	l.Close()
}

// A server at localhost is reached at both loopback addresses, on one port.
func TestLocalhostIsBothAddresses(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	for _, host := range []string{"localhost", "LOCALHOST"} {
		l := listen(t, ListenOptions{Endpoint: host + ":0"})
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil || port == "0" {
			t.Fatalf("listening at %v: %v", l.Addr(), err)
		}
		for _, at := range []string{"127.0.0.1", "::1"} {
			talk(t, l, net.JoinHostPort(at, port))
		}
		for _, at := range []string{"127.0.0.1", "::1", "localhost"} {
			_, err := Listen(t.Context(), ListenOptions{Endpoint: net.JoinHostPort(at, port)})
			if !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("%s is free: %v", at, err)
			}
		}
	}
}

// talk connects to an address and checks that l accepts the connection.
func talk(t *testing.T, l net.Listener, address string) {
	t.Helper()
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(server, "hello")
	server.Close()
	if got, err := io.ReadAll(client); string(got) != "hello" || err != nil {
		t.Errorf("%s: read %q, %v", address, got, err)
	}
}

// The port of localhost is in use if it is at one of the addresses, and the error says
// which; nothing stays bound.
func TestLocalhostInUse(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	for own, other := range map[string]string{"127.0.0.1": "::1", "::1": "127.0.0.1"} {
		taken := listen(t, ListenOptions{Endpoint: net.JoinHostPort(own, "0")})
		_, port, _ := net.SplitHostPort(taken.Addr().String())
		_, err := Listen(t.Context(), ListenOptions{Endpoint: "localhost:" + port})
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), taken.Addr().String()) {
			t.Errorf("%s is in use: %v", taken.Addr(), err)
		}
		free, err := Listen(t.Context(), ListenOptions{Endpoint: net.JoinHostPort(other, port)})
		if err != nil && !errors.Is(err, syscall.EADDRINUSE) { // another test may have got it
			t.Error(err)
		} else if err == nil {
			free.Close()
		}
	}
}

// tcp4 and tcp6 are one address.
func TestLocalhostOfOneFamily(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	for transport, want := range map[string]string{"tcp4": "127.0.0.1:", "tcp6": "[::1]:"} {
		l := listen(t, ListenOptions{Transport: transport, Endpoint: "localhost:0"})
		if _, ok := l.(*net.TCPListener); !ok || !strings.HasPrefix(l.Addr().String(), want) {
			t.Errorf("%s: %T at %s", transport, l, l.Addr())
		}
	}
}

// Close ends a waiting Accept, a second Close, connections that nobody accepted, and
// the loops.
func TestLoopbackCloses(t *testing.T) {
	t.Parallel()
	needIPv6(t)
	l := listen(t, ListenOptions{Endpoint: "localhost:0"})
	talk(t, l, l.Addr().String()) // the loops run
	waiting, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second Close: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	_ = waiting.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := waiting.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection that was not accepted: %v", err)
	}
	unused, err := Listen(context.Background(), ListenOptions{Endpoint: "localhost:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := unused.Close(); err != nil {
		t.Error(err)
	}
	if _, err := unused.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}
