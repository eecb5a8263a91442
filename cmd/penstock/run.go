package main

import (
	"cmp"
	"os"
	"strings"
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
effect.

SIGHUP, the command "penstock reload" and, with --watch, a changed file load the
configuration again and put it in effect, while requests are served. An invalid one is
logged, and everything stays as it was.

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
	flags.BoolVar(&a.watch, "watch", false, "reload the configuration when the content of its files changes")
	flags.StringVar(&a.reloadAddress, "reload-address", "", "`host:port` at which POST /-/reload reloads the configuration, for everyone who can connect; without a host it is localhost (default: none)")
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

// dataDirNamed reports whether the data directory was chosen.
func (a *app) dataDirNamed() bool { return a.dataDir != "" || os.Getenv("STATE_DIRECTORY") != "" }

// options returns the options of the service in a process of its own.
func (a *app) options() service.Options {
	dir, optional := a.dataDirectory()
	return service.Options{
		DataDir: dir, DataDirOptional: optional, DataDirNamed: a.dataDirNamed(), InMemory: a.inMemory,
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
	r := &reloader{sources: a.sources}
	opts := a.options()
	opts.ReloadCommand = r.command
	svc, err := service.New(cfg, opts)
	if err != nil {
		a.warn(cfg.Warnings()) // otherwise Start logs them
		return err
	}
	r.svc = newSupervised(svc)
	c, err := a.reloadCauses(r)
	if err != nil {
		return err
	}
	defer c.stop()
	return pipeline.Run(cmd.Context(), cmp.Or(a.drainWithin, defaultDrain), r.svc)
}
