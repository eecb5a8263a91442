package loadgen

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm sleeps until a given time. Go's timers are rounded up to a millisecond if nothing
// else runs, which would be measured as latency. Timers of the kernel are accurate to
// some 10 µs; the runtime waits for them like for a socket.
type alarm struct {
	ctx   context.Context
	timer *os.File
	stop  func() bool
}

// newAlarm returns an alarm that ends its sleep at the end of ctx.
func newAlarm(ctx context.Context) (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a timer: %w", err)
	}
	a := &alarm{ctx: ctx, timer: os.NewFile(uintptr(fd), "timerfd")}
	a.stop = context.AfterFunc(ctx, func() { _ = a.timer.SetReadDeadline(time.Unix(1, 0)) }) // Read returns
	return a, nil
}

// sleep waits until due, or returns the error of ctx.
func (a *alarm) sleep(due time.Time) error {
	wait := time.Until(due)
	if wait <= 0 {
		return a.ctx.Err()
	}
	if err := a.set(unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}); err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	var expirations [8]byte
	if _, err := a.timer.Read(expirations[:]); err != nil && a.ctx.Err() == nil {
		return fmt.Errorf("wait for a timer: %w", err)
	}
	return a.ctx.Err()
}

func (a *alarm) set(at unix.ItimerSpec) error {
	raw, err := a.timer.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.TimerfdSettime(int(fd), 0, &at, nil) }); err != nil {
		return err
	}
	return failed
}

func (a *alarm) close() {
	a.stop()
	a.timer.Close()
}
