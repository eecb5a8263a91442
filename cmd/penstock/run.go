package main

import (
	"cmp"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/internal/version"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service"
)

// defaultDrain is the default of --drain-within.
const defaultDrain = 30 * time.Second

func (a *app) runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the pipelines (the default command)",
		Long: `Run the pipelines of the configuration until SIGINT or SIGTERM. The first signal
stops the receivers and waits for requests in flight, up to --drain-within. A second
signal, a second or more after the first, exits at once; one that comes earlier has no
effect. SIGHUP is logged; nothing is reloaded.

Exporters that go over a network have a queue on disk: a request is acknowledged when
it is there, and is sent until its destination has it, also after a restart.`,
		Args: cobra.NoArgs,
		RunE: a.serve,
	}
	a.sourceFlags(cmd.Flags())
	a.serveFlags(cmd.Flags())
	return cmd
}

func (a *app) serveFlags(flags *pflag.FlagSet) {
	flags.DurationVar(&a.drainWithin, "drain-within", defaultDrain, "how long to wait for requests in flight after the first signal")
	flags.StringVar(&a.dataDir, "data-dir", "", "`directory` for the queues of exporters that name no storage (default $STATE_DIRECTORY, else "+defaultDataDir+"; if that cannot be written, the queues are in memory)")
	flags.BoolVar(&a.inMemory, "in-memory", false, "keep these queues in memory and acknowledge a request before its destination has it: what is in them is lost when the process ends")
}

// defaultDataDir is where queues are without a flag and without a directory of systemd.
const defaultDataDir = "penstock-data"

// dataDirectory returns the directory of the queues, and whether they may be in memory if
// it cannot be written: not when it was named.
func (a *app) dataDirectory() (dir string, optional bool) {
	if a.dataDir != "" {
		return a.dataDir, false
	}
	// systemd separates several directories by colons.
	first, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	return cmp.Or(first, defaultDataDir), true
}

// options returns the options of the service in a process of its own.
func (a *app) options() service.Options {
	dir, optional := a.dataDirectory()
	return service.Options{
		DataDir: dir, DataDirOptional: optional, InMemory: a.inMemory,
		Components: components.Default(), SetMemoryLimit: true,
		Version: version.Get(), Stdout: a.stdout, Stderr: a.stderr,
		DrainWithin: a.drainWithin, FeatureGates: strings.Join(a.featureGates, ","),
	}
}

func (a *app) serve(cmd *cobra.Command, _ []string) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	svc, err := service.New(cfg, a.options())
	if err != nil {
		a.warn(cfg.Warnings()) // otherwise Start logs them
		return err
	}
	defer logHangups(svc.Logger())()
	return pipeline.Run(cmd.Context(), cmp.Or(a.drainWithin, defaultDrain), newSupervised(svc))
}

// logHangups logs each SIGHUP until stop is called. Without it the signal would end the
// process without draining; the Collector reloads its configuration.
func logHangups(log *slog.Logger) (stop func()) {
	signals, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer close(ended)
		for range signals {
			log.Warn("received SIGHUP: nothing was reloaded, which is not there yet; restart penstock for a changed configuration")
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-ended
	}
}
