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

	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/internal/version"
	"github.com/penstock-telemetry/penstock/service"
)

// app has the flags that several commands share.
type app struct {
	stdout, stderr io.Writer
	began          bool // the command line is valid; errors are not about usage

	sources      service.Sources
	featureGates []string
	drainWithin  time.Duration
	dataDir      string
	inMemory     bool

	watch         bool
	reloadAddress string
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "penstock",
		Short: "The pipe for traces, metrics, logs and profiles",
		Long: `penstock receives OpenTelemetry traces, metrics, logs and profiles over gRPC and
HTTP, processes them and sends them on. Its configuration is that of the
OpenTelemetry Collector. Without one it listens on localhost:4317 (gRPC) and
localhost:4318 (HTTP) and prints the telemetry that it receives.

Exit codes: 0 success, 1 failure at run time, 2 invalid command line,
78 invalid configuration.`,
		Example: `  penstock
  penstock --config penstock.yaml
  penstock --config base.yaml --config env:MORE --set exporters.otlp.endpoint=host:4317`,
		SilenceErrors:    true,
		SilenceUsage:     true,
		PersistentPreRun: func(*cobra.Command, []string) { a.began = true },
		Args:             noSuchCommand,
		RunE:             a.serve,

		SuggestionsMinimumDistance: 2,
		Version:                    version.Read().String(),
	}
	root.SetFlagErrorFunc(guessFlag)
	a.sourceFlags(root.Flags())
	a.serveFlags(root.Flags())
	root.AddCommand(a.runCommand(), a.reloadCommand(), a.validateCommand(), a.testConfigCommand(), a.printConfigCommand(), a.componentsCommand(), a.featureGateCommand(), newLoadgenCommand(), newConvertCommand(), newReportCommand(), newReplayCommand(), a.journalCommand(), a.deadLetterCommand(), a.versionCommand())
	return root
}

// noSuchCommand returns an error for arguments that are not a command, with a suggestion.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if ext := path.Ext(args[0]); ext == ".yaml" || ext == ".yml" {
		hint = "; to use a configuration file, write --config " + args[0]
	} else if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf(", did you mean %q?", near[0])
	}
	return fmt.Errorf("unknown command %q%s", args[0], hint)
}

// guessFlag adds the flag that is probably meant to the error about an unknown one.
func guessFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) < 2 {
		return err
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if near := suggest.Nearest(unknown.GetSpecifiedName(), known); near != "" {
		return fmt.Errorf("%w, did you mean --%s?", err, near)
	}
	return err
}

// sourceFlags adds the flags of the commands that read a configuration.
func (a *app) sourceFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&a.sources.URIs, "config", nil, "`source` of configuration: a file, file:PATH, env:NAME, yaml:TEXT, or a URL with http: or https:; repeated ones are merged in order")
	flags.StringArrayVar(&a.sources.Set, "set", nil, "`key=value` to set in the configuration, such as exporters.otlp.timeout=2s; may be repeated")
	flags.StringSliceVar(&a.featureGates, "feature-gates", nil, "`list` of feature gates of the Collector, such as +service.profilesSupport; accepted without effect")
}

// load reads the configuration of the flags. If it is invalid, load prints the warnings
// first, since they can be the reason.
func (a *app) load() (*service.Config, error) {
	cfg, err := service.LoadFrom(a.options(), a.sources)
	var bad *service.LoadError
	if errors.As(err, &bad) {
		a.warn(bad.Warnings)
	}
	return cfg, err
}

// warn prints warnings about the configuration and the flags, when there is no log.
func (a *app) warn(warnings []string) {
	for _, text := range append(warnings, service.CheckFeatureGates(strings.Join(a.featureGates, ","))...) {
		fmt.Fprintln(a.stderr, "warning:", text)
	}
}
