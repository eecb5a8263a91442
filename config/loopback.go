package config

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
)

// LoopbackHosts returns the addresses that a server with the host localhost listens
// on: those of both families for transport tcp, nil for another host. Some clients
// resolve localhost to 127.0.0.1 and some to ::1.
func LoopbackHosts(transport, host string) []string {
	if !strings.EqualFold(host, "localhost") {
		return nil
	}
	switch transport {
	case "tcp4":
		return []string{"127.0.0.1"}
	case "tcp6":
		return []string{"::1"}
	}
	return []string{"127.0.0.1", "::1"}
}

// listenTCP listens at host:port, for localhost on all of LoopbackHosts that the
// machine has.
func listenTCP(ctx context.Context, transport, endpoint string, bind bindFunc) (net.Listener, error) {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return nil, err
	}
	hosts := LoopbackHosts(transport, host)
	if hosts == nil {
		return bind(ctx, transport, endpoint)
	}
	return listenLoopback(hosts, port, func(address string) (net.Listener, error) {
		return bind(ctx, transport, address)
	})
}

// portAttempts is how often another free port is tried if the first one is in use at
// the other address.
const portAttempts = 20

// listenLoopback listens on one port of all hosts that the machine has.
func listenLoopback(hosts []string, port string, listen func(address string) (net.Listener, error)) (net.Listener, error) {
	for attempt := 1; ; attempt++ {
		l, err := listenAll(hosts, port, listen)
		if port != "0" || attempt == portAttempts || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
}

func listenAll(hosts []string, port string, listen func(address string) (net.Listener, error)) (net.Listener, error) {
	var all []net.Listener
	var missing error
	for _, host := range hosts {
		l, err := listen(net.JoinHostPort(host, port))
		switch {
		case err == nil:
			all = append(all, l)
			if _, bound, err := net.SplitHostPort(l.Addr().String()); err == nil {
				port = bound // of 0, for the next host
			}
		case noSuchAddress(err):
			missing = err
		default:
			for _, l := range all {
				_ = l.Close() // nobody has connected
			}
			return nil, err
		}
	}
	switch len(all) {
	case 0:
		return nil, missing
	case 1:
		return all[0], nil
	}
	return newJoined(all), nil
}

// noSuchAddress reports whether the machine lacks an address, or its whole family.
func noSuchAddress(err error) bool {
	var address *net.AddrError // package net has found out that there is no IPv6
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPROTONOSUPPORT) ||
		errors.As(err, &address)
}

// joined accepts the connections of several listeners.
type joined struct {
	all      []net.Listener
	accepted chan acceptResult
	closed   chan struct{}

	mu        sync.Mutex
	started   bool // the loops run
	isClosed  bool
	accepting sync.WaitGroup
}

type acceptResult struct {
	conn net.Conn
	err  error
}

func newJoined(all []net.Listener) *joined {
	return &joined{all: all, accepted: make(chan acceptResult), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (j *joined) Accept() (net.Conn, error) {
	j.start()
	select {
	case a := <-j.accepted:
		return a.conn, a.err
	case <-j.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: j.Addr(), Err: net.ErrClosed}
	}
}

// start starts the loops at the first Accept.
func (j *joined) start() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.started || j.isClosed {
		return
	}
	j.started = true
	for _, l := range j.all {
		j.accepting.Go(func() { j.loop(l) })
	}
}

// loop passes the connections and errors of l on, each when Accept is called.
func (j *joined) loop(l net.Listener) {
	for {
		conn, err := l.Accept()
		select {
		case j.accepted <- acceptResult{conn, err}:
		case <-j.closed:
			if conn != nil {
				_ = conn.Close() // as those that wait in the backlog
			}
			return
		}
	}
}

// Close implements net.Listener. It waits for the loops.
func (j *joined) Close() error {
	j.mu.Lock()
	again := j.isClosed
	if !again {
		j.isClosed = true
		close(j.closed)
	}
	j.mu.Unlock()
	var errs []error
	for _, l := range j.all {
		errs = append(errs, l.Close())
	}
	j.accepting.Wait()
	return errors.Join(errs...)
}

// Addr returns the first of the addresses, which have one port.
func (j *joined) Addr() net.Addr { return j.all[0].Addr() }
