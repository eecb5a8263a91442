package config

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Listeners are the open listeners of one service. With them in the context
// (WithListeners), Listen shares the sockets of listeners that are about to be closed,
// so that a component can be replaced by one with other settings while no connection is
// refused and none that waits to be accepted is lost:
//
//	all.Begin()          // a reload begins
//	l, err := Listen(…)  // the new component: the same socket as the old component's
//	all.End()            // from here on an address in use is an error again
//	old.Close()          // from here on l accepts
//
// A socket has one accept loop. It passes connections to the listener that opened the
// socket first, until that one is closed, and then to the next. The socket is closed
// with its last listener. The zero value is ready to use, and safe for concurrent use.
type Listeners struct {
	binding sync.Mutex // held during Listen, so that two calls do not get the same socket

	mu       sync.Mutex
	open     []*sharedListener // in the order of Listen
	phase    int               // number of the handover, from 1 on
	handing  bool              // between Begin and End
	retiring []string
}

// WithListeners returns a context with which Listen registers its listeners in all.
func WithListeners(ctx context.Context, all *Listeners) context.Context {
	return context.WithValue(ctx, listenersKey{}, all)
}

type listenersKey struct{}

func listenersOf(ctx context.Context) *Listeners {
	all, _ := ctx.Value(listenersKey{}).(*Listeners)
	return all
}

// Begin begins a handover: until End, Listen shares the sockets of open listeners, each
// with one new listener. retiring are the components whose listeners will be closed
// ("receivers.otlp"), by the beginning of their ListenOptions.Key; without arguments
// these are all.
func (r *Listeners) Begin(retiring ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase++
	r.handing, r.retiring = true, retiring
}

// End ends a handover. The old listeners may be closed before or after it.
func (r *Listeners) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handing, r.retiring = false, nil
}

// isRetiring reports whether the listeners with a key will be closed. The lock is held.
func (r *Listeners) isRetiring(key string) bool {
	return len(r.retiring) == 0 || slices.ContainsFunc(r.retiring, func(c string) bool {
		return key == c || strings.HasPrefix(key, c+".")
	})
}

// listen is Listen with a registry.
func (r *Listeners) listen(ctx context.Context, o ListenOptions) (net.Listener, error) {
	r.binding.Lock()
	defer r.binding.Unlock()
	h := &handover{registry: r}
	if taken, err := h.sameEndpoint(o); err != nil {
		return nil, err
	} else if taken != nil {
		return r.add(o, h, taken), nil
	}
	l, err := listenPlain(ctx, o, h.bind)
	if err != nil {
		return nil, err
	}
	return r.add(o, h, partsOf(l)), nil
}

// add registers the listener on parts, which are sockets, or listeners just bound.
func (r *Listeners) add(o ListenOptions, h *handover, parts []net.Listener) *sharedListener {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &sharedListener{registry: r, options: o, accepted: make(chan acceptResult), closed: make(chan struct{})}
	for _, part := range parts {
		s := &socket{Listener: part, registry: r, at: boundTo(o.Transport, part.Addr())}
		if open, ok := part.(openSocket); ok {
			s = open.socket
			s.passedIn = r.phase
		}
		s.users = append(s.users, l)
		l.sockets = append(l.sockets, s)
		h.link(s, part)
	}
	l.addr = l.sockets[0].Addr()
	r.open = append(r.open, l)
	return l
}

// socket is a socket of the system, which one or more listeners share.
type socket struct {
	net.Listener
	registry *Listeners
	at       address
	loop     sync.WaitGroup

	// Under Listeners.mu:
	users     []*sharedListener // in the order of Listen; the first one accepts
	passedIn  int               // the last handover in which it was shared
	accepting bool              // the loop was started
	ended     bool              // it was drained and is closed
	// successor accepts what arrives here when there are no users any more. keep: for
	// good, since its address includes this one; else until the queue is empty.
	successor *sharedListener
	keep      bool

	draining bool // set before the loop notices the deadline

	// Of the loop, while it drains:
	delivered bool // since the deadline was set
	periods   int
}

// sharedListener is the listener that Listen returns.
type sharedListener struct {
	registry *Listeners
	options  ListenOptions
	addr     net.Addr
	accepted chan acceptResult
	closed   chan struct{}

	// Under Listeners.mu:
	sockets  []*socket
	isClosed bool
}

// Addr returns the first of the addresses, which have one port.
func (l *sharedListener) Addr() net.Addr { return l.addr }

// Accept implements net.Listener.
func (l *sharedListener) Accept() (net.Conn, error) {
	l.start()
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: net.ErrClosed}
	}
}

// start starts the loops of the sockets at the first Accept.
func (l *sharedListener) start() {
	l.registry.mu.Lock()
	defer l.registry.mu.Unlock()
	for _, s := range l.sockets {
		if !l.isClosed {
			s.start()
		}
	}
}

// Close implements net.Listener. It may be called more than once. Sockets without
// another user are closed, and Close waits for their loops.
func (l *sharedListener) Close() error {
	var errs []error
	unused := l.leave()
	for _, s := range unused {
		if err := s.Listener.Close(); !errors.Is(err, net.ErrClosed) { // a drained one closes itself
			errs = append(errs, err)
		}
	}
	for _, s := range unused {
		s.loop.Wait()
	}
	return errors.Join(errs...)
}

// leave takes the listener off its sockets, and returns those that nothing uses.
func (l *sharedListener) leave() (unused []*socket) {
	r := l.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.isClosed {
		return nil
	}
	l.isClosed = true
	r.open = slices.DeleteFunc(r.open, func(o *sharedListener) bool { return o == l })
	for _, s := range l.sockets {
		last := len(s.users) > 1 && s.users[len(s.users)-1] == l
		s.users = slices.DeleteFunc(s.users, func(u *sharedListener) bool { return u == l })
		switch next := s.successor; {
		case last: // it was not needed: the socket may be passed on again, and is as it was
			s.passedIn = 0
			_ = setMode(s.Listener, l.options, s.users[len(s.users)-1].options) // the file exists, and is this process's
		case len(s.users) > 0:
		case next != nil && !next.isClosed && !s.ended:
			s.passTo(next)
		default:
			unused = append(unused, s)
		}
	}
	close(l.closed)
	return unused
}

// passTo makes next the user. The lock is held.
func (s *socket) passTo(next *sharedListener) {
	s.users, s.successor = []*sharedListener{next}, nil
	next.sockets = append(next.sockets, s)
	if !s.keep {
		s.draining = true
		s.extend()
	}
	s.start()
}

// start starts the loop once. The lock is held.
func (s *socket) start() {
	if !s.accepting {
		s.accepting = true
		s.loop.Go(s.run)
	}
}

// run accepts connections until the socket is closed.
func (s *socket) run() {
	for {
		conn, err := s.Accept()
		switch drains := s.isDraining(); {
		case drains && errors.Is(err, os.ErrDeadlineExceeded):
			if s.finish() {
				return
			}
			continue
		case drains && err == nil && !s.user().includes(conn.LocalAddr()):
			_ = conn.Close() // nothing listens on this address any more
			continue
		}
		if !s.deliver(acceptResult{conn, err}) {
			if conn != nil {
				_ = conn.Close() // as those that wait in the backlog
			}
			return
		}
		s.delivered = true
	}
}

// deliver passes a result to the first user, or to the next if that one is closed before
// it calls Accept. It returns false if there is none.
func (s *socket) deliver(a acceptResult) bool {
	for {
		u := s.user()
		if u == nil {
			return false
		}
		select {
		case u.accepted <- a:
			return true
		case <-u.closed:
		}
	}
}

func (s *socket) user() *sharedListener {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	if len(s.users) == 0 {
		return nil
	}
	return s.users[0]
}

func (s *socket) isDraining() bool {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	return s.draining
}

const (
	// drainQuiet is how long no connection may arrive at a socket that is drained before
	// it is closed: handshakes that had begun before the other socket was open end within
	// it. Later ones arrive at the other one, whose address is more specific.
	drainQuiet = 500 * time.Millisecond
	// maxDrainPeriods bounds the time to drain, in drainQuiet.
	maxDrainPeriods = 10
)

// includes reports whether the listener listens on an address, not counting the sockets
// that it drains. l may be nil.
func (l *sharedListener) includes(local net.Addr) bool {
	if l == nil {
		return false
	}
	l.registry.mu.Lock()
	defer l.registry.mu.Unlock()
	at := boundTo("tcp", local)
	return slices.ContainsFunc(l.sockets, func(s *socket) bool { return !s.draining && s.at.includes(at) })
}

// extend sets the time at which the loop looks whether the socket is drained.
func (s *socket) extend() {
	if l, ok := s.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		_ = l.SetDeadline(time.Now().Add(drainQuiet)) // it fails when the socket is closed: then the loop ends
	}
}

// finish closes the socket if no connection arrived since the deadline was set, and
// reports whether it did.
func (s *socket) finish() bool {
	if s.periods++; s.delivered && s.periods < maxDrainPeriods {
		s.delivered = false
		s.extend()
		return false
	}
	s.registry.mu.Lock()
	s.ended = true
	s.registry.mu.Unlock()
	_ = s.Listener.Close() // nothing is in its queue
	return true
}

// partsOf returns the listeners behind l.
func partsOf(l net.Listener) []net.Listener {
	if j, ok := l.(*joined); ok {
		return j.all
	}
	return []net.Listener{l}
}
