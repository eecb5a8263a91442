package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/internal/version"
	"github.com/penstock-telemetry/penstock/service"
)

func (a *app) runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the pipelines (what penstock does without a command)",
		Long: `Run the pipelines of the configuration until SIGINT or SIGTERM. The first signal
stops the receivers and lets requests under way finish, for as long as
--drain-within; the second ends at once.`,
		Args: cobra.NoArgs,
		RunE: a.serve,
	}
	a.sourceFlags(cmd.Flags())
	a.serveFlags(cmd.Flags())
	return cmd
}

func (a *app) serveFlags(flags *pflag.FlagSet) {
	flags.DurationVar(&a.drainWithin, "drain-within", 30*time.Second, "how long requests under way may take after the first signal")
}

// options are those of the program: it owns its process.
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
		a.warn(cfg.Warnings()) // else Start logs them
		return err
	}
	return svc.Run(cmd.Context())
}
