package main

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock-telemetry/penstock/service"
)

// app is the command line with its flags.
type app struct {
	stdout, stderr io.Writer
	began          bool // the command line was understood; errors are not about usage

	sources      service.Sources
	featureGates []string
	drainWithin  time.Duration
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "penstock",
		Short: "The pipe for traces, metrics, logs and profiles",
		Long: `penstock receives OpenTelemetry traces, metrics, logs and profiles over gRPC and
HTTP, processes them and sends them on. It reads the OpenTelemetry Collector's
configuration. Without a configuration it listens on localhost:4317 (gRPC) and
localhost:4318 (HTTP) and prints what comes in.

Exit codes: 0 success, 1 failure at run time, 2 wrong command line,
78 wrong configuration.`,
		Example: `  penstock
  penstock --config penstock.yaml
  penstock --config base.yaml --config env:MORE --set exporters.otlp.endpoint=host:4317`,
		SilenceErrors:    true,
		SilenceUsage:     true,
		PersistentPreRun: func(*cobra.Command, []string) { a.began = true },
		Args:             noSuchCommand,
		RunE:             a.serve,

		SuggestionsMinimumDistance: 2,
	}
	a.sourceFlags(root.Flags())
	a.serveFlags(root.Flags())
	root.AddCommand(a.runCommand(), a.validateCommand(), a.printConfigCommand(), a.componentsCommand(), newLoadgenCommand(), newConvertCommand(), newReportCommand(), a.versionCommand())
	return root
}

// noSuchCommand refuses what is left on the command line. It guesses what was
// meant.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if ext := path.Ext(args[0]); ext == ".yaml" || ext == ".yml" {
		hint = "; for a configuration write --config " + args[0]
	} else if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf(", did you mean %q?", near[0])
	}
	return fmt.Errorf("unknown command %q%s", args[0], hint)
}

// sourceFlags are for the commands that read a configuration.
func (a *app) sourceFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&a.sources.URIs, "config", nil, "`source` of configuration: a file, file:PATH, env:NAME or yaml:TEXT; repeated ones are merged in order")
	flags.StringArrayVar(&a.sources.Set, "set", nil, "`key=value` to set in the configuration, as in exporters.otlp.timeout=2s; may be repeated")
	flags.StringSliceVar(&a.featureGates, "feature-gates", nil, "`list` of the Collector's feature gates, as in +service.profilesSupport; accepted, nothing depends on them")
}

// load reads the configuration that the flags name. If it cannot be used, what is
// suspicious is told first: it may be the reason.
func (a *app) load() (*service.Config, error) {
	cfg, err := service.LoadFrom(a.options(), a.sources)
	var bad *service.LoadError
	if errors.As(err, &bad) {
		a.warn(bad.Warnings)
	}
	return cfg, err
}

// warn prints what is suspicious about the configuration and the flags, for when
// there is no log.
func (a *app) warn(warnings []string) {
	for _, text := range append(warnings, service.CheckFeatureGates(strings.Join(a.featureGates, ","))...) {
		fmt.Fprintln(a.stderr, "warning:", text)
	}
}
