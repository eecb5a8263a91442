// Package sdnotify tells systemd the state of a service: the protocol of sd_notify(3).
//
//	NOTIFY_SOCKET=/run/systemd/notify  ◄── "READY=1\nSTATUS=…"   Type=notify
//	                                   ◄── "RELOADING=1\n…"      Type=notify-reload
//	WATCHDOG_USEC=30000000             ◄── "WATCHDOG=1"          WatchdogSec=30s
//
// Without NOTIFY_SOCKET nothing is sent: a nil *Notifier does nothing.
package sdnotify

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// The variables of the protocol.
const (
	socketVariable   = "NOTIFY_SOCKET"
	intervalVariable = "WATCHDOG_USEC"
	processVariable  = "WATCHDOG_PID"
)

// The states that are sent. Several are sent as one message.
const (
	Ready    = "READY=1" // also after a reload
	Stopping = "STOPPING=1"
	watchdog = "WATCHDOG=1"
)

// sendWithin is how long a message may wait in a socket whose reader does not read.
const sendWithin = 5 * time.Second

// A Notifier sends messages to the service manager. All methods of a nil Notifier do
// nothing.
type Notifier struct {
	// Watchdog is the time within which the manager expects a sign of life; 0 means
	// that it expects none.
	Watchdog time.Duration

	send func(message string) error
}

// FromEnvironment returns the notifier that the environment asks for, nil if none. It
// removes the variables from the environment, so that children do not notify.
func FromEnvironment() (*Notifier, error) {
	socket, interval, process := take(socketVariable), take(intervalVariable), take(processVariable)
	if socket == "" {
		return nil, nil
	}
	if socket[0] != '/' && socket[0] != '@' {
		return nil, fmt.Errorf("read %s: expected a path or a name that begins with @, found %q", socketVariable, socket)
	}
	n := &Notifier{send: func(message string) error { return send(socket, message) }}
	if interval == "" || process != "" && process != strconv.Itoa(os.Getpid()) {
		return n, nil
	}
	usec, err := strconv.ParseInt(interval, 10, 64)
	if err != nil || usec <= 0 || usec > int64(time.Duration(1<<63-1)/time.Microsecond) {
		return n, fmt.Errorf("read %s: expected a number of microseconds, found %q", intervalVariable, interval)
	}
	n.Watchdog = time.Duration(usec) * time.Microsecond
	return n, nil
}

func take(variable string) string {
	value := os.Getenv(variable)
	_ = os.Unsetenv(variable) // fails only for names that are not valid
	return value
}

// send opens the socket for each message, since the manager may have restarted. A name
// that begins with @ is in Linux's abstract namespace.
func send(socket, message string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	err = conn.SetWriteDeadline(time.Now().Add(sendWithin))
	if err == nil {
		_, err = conn.Write([]byte(message))
	}
	if closed := conn.Close(); err == nil {
		err = closed
	}
	return err
}

// Notify sends a state, and a status line for people if it is not empty.
func (n *Notifier) Notify(state, status string) error {
	if n == nil {
		return nil
	}
	message := state
	if status != "" {
		message += "\nSTATUS=" + strings.ReplaceAll(status, "\n", " ")
	}
	if err := n.send(message); err != nil {
		first, _, _ := strings.Cut(state, "\n")
		return fmt.Errorf("notify the service manager of %s: %w", first, err)
	}
	return nil
}

// Reloading is the state of a service that begins to reload its configuration. Ready ends
// it.
func Reloading() string {
	state := "RELOADING=1"
	if usec := monotonicMicroseconds(); usec > 0 {
		state += "\nMONOTONIC_USEC=" + strconv.FormatInt(usec, 10)
	}
	return state
}

// Watch sends signs of life, twice in each Watchdog, until ctx ends. It omits one while
// alive returns an error or does not return. report gets the first of consecutive errors,
// and nil when signs are sent again.
func (n *Notifier) Watch(ctx context.Context, alive func() error, report func(error)) {
	if n == nil || n.Watchdog <= 0 {
		return
	}
	tick := time.NewTicker(max(n.Watchdog/2, time.Microsecond))
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := alive()
		if err == nil {
			err = n.Notify(watchdog, "")
		}
		if failed := err != nil; failed != failing {
			failing = failed
			report(err)
		}
	}
}
