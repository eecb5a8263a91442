//go:build unix

package sdnotify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// listen binds a socket and returns a function that reads a message.
func listen(t *testing.T, name string) (read func() string) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1000)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestMessages(t *testing.T) {
	names := []string{socketPath(t)}
	if runtime.GOOS == "linux" {
		names = append(names, fmt.Sprintf("@penstock-sdnotify-%d", os.Getpid()))
	}
	for _, name := range names {
		read := listen(t, name)
		t.Setenv(socketVariable, name)
		t.Setenv(intervalVariable, "30000000")
		t.Setenv(processVariable, fmt.Sprint(os.Getpid()))
		n, err := FromEnvironment()
		if err != nil || n.Watchdog != 30*time.Second {
			t.Fatalf("%+v, %v", n, err)
		}
		for _, v := range []string{socketVariable, intervalVariable, processVariable} {
			if _, ok := os.LookupEnv(v); ok {
				t.Errorf("a child gets %s", v)
			}
		}
		for _, c := range []struct{ state, status, want string }{
			{Ready, "", "READY=1"},
			{Ready, "2 pipelines", "READY=1\nSTATUS=2 pipelines"},
			{Stopping, "a\nMAINPID=1", "STOPPING=1\nSTATUS=a MAINPID=1"},
		} {
			if err := n.Notify(c.state, c.status); err != nil {
				t.Fatal(err)
			}
			if got := read(); got != c.want {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
		}
		checkReloading(t, n, read)
	}
}

// checkReloading compares the time of two messages: it is needed on Linux, and does not go
// back.
func checkReloading(t *testing.T, n *Notifier, read func() string) {
	t.Helper()
	times := [2]int64{}
	for i := range times {
		if err := n.Notify(Reloading(), "x"); err != nil {
			t.Fatal(err)
		}
		got := read()
		if runtime.GOOS != "linux" {
			if got != "RELOADING=1\nSTATUS=x" {
				t.Errorf("got %q", got)
			}
			continue
		}
		if _, err := fmt.Sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=x", &times[i]); err != nil {
			t.Errorf("got %q: %v", got, err)
		}
	}
	if runtime.GOOS == "linux" && (times[0] <= 0 || times[1] < times[0]) {
		t.Errorf("the times are %d", times)
	}
}

func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		socket, interval, process string
		watchdog                  time.Duration
		none                      bool
		err                       string
	}{
		{none: true},
		{interval: "5", none: true},
		{socket: "/s"},
		{socket: "/s", interval: "5", watchdog: 5 * time.Microsecond},
		{socket: "/s", interval: "5", process: "1"}, // for another process
		{socket: "s", none: true, err: "expected a path"},
		{socket: "vsock:2:1", none: true, err: "expected a path"},
		{socket: "/s", interval: "x", err: "expected a number of microseconds"},
		{socket: "/s", interval: "0", err: "expected a number of microseconds"},
		{socket: "/s", interval: "9223372036854775807", err: "expected a number of microseconds"},
	} {
		t.Setenv(socketVariable, c.socket)
		t.Setenv(intervalVariable, c.interval)
		t.Setenv(processVariable, c.process)
		n, err := FromEnvironment()
		if (n == nil) != c.none || n != nil && n.Watchdog != c.watchdog || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %+v, %v", c, n, err)
		}
	}
}

func TestNobodyToNotify(t *testing.T) {
	var none *Notifier
	if err := none.Notify(Ready, ""); err != nil {
		t.Error(err)
	}
	none.Watch(t.Context(), nil, nil)
	t.Setenv(socketVariable, socketPath(t)) // where nobody listens
	n, err := FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	n.Watch(t.Context(), nil, nil) // no watchdog
	if err := n.Notify(Ready, ""); err == nil || !strings.HasPrefix(err.Error(), "notify the service manager of READY=1: ") {
		t.Errorf("got %v", err)
	}
}

// Signs of life are sent twice in each interval, only while the process is alive, and
// what prevents them is reported once.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		start := time.Now()
		n := &Notifier{Watchdog: 20 * time.Second, send: func(m string) error {
			sent = append(sent, fmt.Sprint(m, " ", time.Since(start)))
			return nil
		}}
		var reports []error
		sick := errors.New("sick")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		n.Watch(ctx, func() error {
			switch at := time.Since(start); {
			case at == 50*time.Second:
				time.Sleep(5 * time.Second) // blocks
			case at > 15*time.Second && at < 35*time.Second:
				return sick
			}
			return nil
		}, func(err error) { reports = append(reports, err) })
		if want := []string{"WATCHDOG=1 10s", "WATCHDOG=1 40s", "WATCHDOG=1 55s", "WATCHDOG=1 1m0s"}; !slices.Equal(sent, want) {
			t.Errorf("sent %q, want %q", sent, want)
		}
		if want := []error{sick, nil}; !slices.Equal(reports, want) {
			t.Errorf("reported %v, want %v", reports, want)
		}
	})
}
