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
effect. SIGHUP is logged; nothing is reloaded.`,
		Args: cobra.NoArgs,
		RunE: a.serve,
	}
	a.sourceFlags(cmd.Flags())
	a.serveFlags(cmd.Flags())
	return cmd
}

func (a *app) serveFlags(flags *pflag.FlagSet) {
	flags.DurationVar(&a.drainWithin, "drain-within", defaultDrain, "how long to wait for requests in flight after the first signal")
}

// options returns the options of the service in a process of its own.
func (a *app) options() service.Options {
	return service.Options{
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
