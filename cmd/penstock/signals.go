package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// oneStop is how long after the first signal further ones are the same request to stop.
// GNU timeout and some supervisors signal the process and then its group, within
// milliseconds.
const oneStop = time.Second

// untilSignalled returns a context that ends at SIGINT or SIGTERM. A second signal, from
// oneStop after the first, exits the process at once.
func untilSignalled(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if awaitSecondStop(signals, done, cancel) {
			fmt.Fprintln(stderr, "penstock: second signal: exit without draining")
			os.Exit(exitFailure)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
	}
}

// awaitSecondStop calls cancel at the first signal, and returns true at a further one from
// oneStop later. It returns false when done is closed.
func awaitSecondStop(signals <-chan os.Signal, done <-chan struct{}, cancel context.CancelCauseFunc) bool {
	var first time.Time
	for {
		select {
		case s := <-signals:
			switch {
			case first.IsZero():
				first = time.Now()
				cancel(fmt.Errorf("received signal %q", s))
			case time.Since(first) >= oneStop:
				return true
			}
		case <-done:
			return false
		}
	}
}
