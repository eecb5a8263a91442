package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-telemetry/penstock/internal/control"
)

// The times of the command reload.
const (
	defaultReloadTimeout = 2 * time.Minute
	// reloadProgress is after how long the command says that it waits.
	reloadProgress = 2 * time.Second
)

// errRefused is the failure of a command whose output has been printed.
var errRefused = errors.New("the configuration is invalid")

func (a *app) reloadCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have a running penstock load its configuration again",
		Long: `Ask a running penstock to load its configuration again, from the sources of its own
command line, and to put it in effect. What is the same in both configurations keeps
running, no request fails, and no item is lost. If the configuration is invalid,
everything stays as it was; the problems are those that "penstock validate" prints.

The process is asked over the socket penstock/control.sock in its data directory: run
the command as the same user, and with the same --data-dir. A process without a data
directory has no socket; it reloads at SIGHUP, which logs the result.

Exit codes: 0 the configuration is in effect, 1 the process does not answer or failed to
reload, 78 the configuration is invalid.`,
		Example: `  penstock reload
  penstock reload --data-dir /var/lib/penstock`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.requestReload(cmd.Context(), timeout) },
	}
	cmd.Flags().StringVar(&a.dataDir, "data-dir", "", "data `directory` of the running penstock (default $STATE_DIRECTORY, else "+defaultDataDir+")")
	cmd.Flags().DurationVar(&timeout, "timeout", defaultReloadTimeout, "how long to wait for the answer; 0 means without a limit")
	return cmd
}

func (a *app) requestReload(ctx context.Context, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	dir, _ := a.dataDirectory()
	progress := time.AfterFunc(reloadProgress, func() {
		fmt.Fprintln(a.stderr, "waiting for the running penstock: it loads the configuration and starts what changed")
	})
	text, err := control.RequestReload(ctx, dir)
	progress.Stop()
	switch {
	case err == control.ErrInvalid:
		fmt.Fprintln(a.stderr, text)
		return errRefused
	case err != nil:
		return err
	}
	fmt.Fprintln(a.stdout, text)
	return nil
}
