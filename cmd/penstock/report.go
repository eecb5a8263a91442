package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/receiver/pprofreceiver"
	"github.com/penstock-telemetry/penstock/reporter"
)

// maxReportInterval is the maximum time that samples are collected before they are sent.
const maxReportInterval = 5 * time.Second

// minReportInterval is the minimum interval of the receiver.
const minReportInterval = time.Second

// reportFlags are the flags of report, and the configuration made from them.
type reportFlags struct {
	to          reporter.OTLPConfig
	serviceName string
	profiles    []string
	interval    time.Duration
	attributes  []string
	headers     []string
	once, quiet bool

	cfg pprofreceiver.Config
}

func newReportCommand() *cobra.Command {
	f := &reportFlags{}
	cmd := &cobra.Command{
		Use:   "report target...",
		Short: "Profile Go processes and send the profiles",
		Long: `Fetch the profiles of Go processes that serve net/http/pprof at an interval and send
them over OTLP. A target is host:port, a URL, or a file or a pattern of files in the
format pprof. Each file is read once; files can be added later.

A program can be CPU profiled by one client at a time.

Values that a process counts from its start (allocations, contentions) are sent as the
difference to the previous fetch; with --once, unchanged.

The variables OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL, _HEADERS, _COMPRESSION, _INSECURE,
_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY, OTEL_SERVICE_NAME and
OTEL_RESOURCE_ATTRIBUTES apply to flags that are not given. Those of profiles, such as
OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT, apply before the general ones.

With --spool-dir fetched profiles are on disk until the server has accepted them, also
after the end of the command, however it ends: the next command with this folder sends
them first. It continues with the differences of cumulative values where this one has
stopped, and does not read files again that this one has read; a command with --once
fetches and reads everything. A folder is for one command at a time, and for the same
targets.

Ctrl-C ends the command after all fetched profiles are sent, or after --stop-within.
The exit code is 1 if a profile was not sent and is not in the spool or, with --once,
not fetched. Without --once, a target that has not responded is not an error: it may
start later.`,
		Example: `  penstock report localhost:6060
  penstock report --to http://localhost:4318 --service-name shop --once 'profiles/*.pb.gz'
  penstock report --to gateway.example.com:4317 --profiles cpu,heap --interval 1m shop:6060 cart:6060
  penstock report --to gateway.example.com:4317 --spool-dir /var/lib/penstock/report shop:6060`,
		Args: func(cmd *cobra.Command, args []string) error {
			env := f.applyOTELEnv(newOTELEnv(cmd.Flags(), "PROFILES"))
			return errors.Join(cobra.MinimumNArgs(1)(cmd, args), env, f.complete(args, cmd.Flags().Changed))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.bind(cmd.Flags())
	return cmd
}

func (f *reportFlags) bind(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVar(&f.to.Endpoint, "to", "localhost:4317", "`address` of the server: host:port for gRPC, a URL for HTTP")
	flags.StringVar(&f.serviceName, "service-name", "", "`name` of the profiled service, as service.name")
	flags.StringArrayVar(&f.attributes, "attributes", nil, "`key=value` for the resource; may be repeated")
	flags.StringSliceVar(&f.profiles, "profiles", []string{"cpu", "heap", "allocs", "goroutine", "mutex", "block"}, "`profiles` to fetch; threadcreate is another one")
	flags.DurationVar(&f.interval, "interval", 15*time.Second, "interval between fetches; the CPU is profiled for this time minus one second")
	flags.BoolVar(&f.once, "once", false, "fetch all profiles once and exit")
	flags.BoolVar(&f.to.Insecure, "insecure", false, "gRPC without TLS (default true for localhost, unless other TLS flags are given)")
	flags.StringVar(&f.to.CAFile, "ca-file", "", "`file` with the CA certificates for the server")
	flags.StringVar(&f.to.CertFile, "cert-file", "", "`file` with the client's certificate")
	flags.StringVar(&f.to.KeyFile, "key-file", "", "`file` with the client's key")
	flags.StringArrayVar(&f.headers, "headers", nil, "`name=value` to send with each request; may be repeated")
	flags.StringVar(&f.to.Compression, "compression", "gzip", "gzip, zstd, snappy or none")
	flags.DurationVar(&f.to.StopTimeout, "stop-within", 5*time.Second, "maximum time to send remaining profiles at the end")
	flags.StringVar(&f.to.SpoolDir, "spool-dir", "", "`folder` for profiles until they are accepted, up to 1 GiB; the oldest are dropped for newer ones (default: in memory)")
	flags.BoolVar(&f.quiet, "quiet", false, "do not print progress")
}

// complete converts flags and arguments to configurations and validates them.
func (f *reportFlags) complete(args []string, changed func(flag string) bool) error {
	var problems []error
	if !changed("insecure") {
		f.to.Insecure = isLocal(f.to.Endpoint) && !changed("ca-file") && !changed("cert-file") && !changed("key-file")
	}
	pairs := func(flag string, list []string) map[string]string {
		all := map[string]string{}
		for _, s := range list {
			key, value, ok := strings.Cut(s, "=")
			if !ok || key == "" {
				problems = append(problems, fmt.Errorf("--%s %q: expected key=value", flag, s))
			}
			all[key] = value
		}
		return all
	}
	f.to.Headers = pairs("headers", f.headers)
	f.cfg = pprofreceiver.DefaultConfig()
	f.cfg.ServiceName, f.cfg.Attributes = f.serviceName, pairs("attributes", f.attributes)
	f.cfg.Profiles = pprofreceiver.ProfilesOf(f.profiles...)
	problems = append(problems, f.checkSending())
	if f.interval < minReportInterval {
		problems = append(problems, fmt.Errorf("--interval %s: expected at least %s", f.interval, minReportInterval))
	} else {
		f.cfg.CollectionInterval = f.interval
	}
	if f.once {
		f.cfg.CountFrom = pprofreceiver.FromProcessStart
	}
	for _, arg := range args {
		target, err := isTarget(arg)
		switch {
		case err != nil:
			problems = append(problems, err)
		case target:
			f.cfg.Targets = append(f.cfg.Targets, pprofreceiver.Target{Endpoint: arg})
		default:
			f.cfg.Files = append(f.cfg.Files, arg)
			if f.once && len(pprofreceiver.MatchFiles(arg)) == 0 {
				problems = append(problems, fmt.Errorf("no file matches %q (--once does not wait for files)", arg))
			}
		}
	}
	if len(f.cfg.Targets)+len(f.cfg.Files) > 0 {
		problems = append(problems, f.cfg.Validate())
	}
	return errors.Join(problems...)
}

// checkSending checks the flags of the destination.
func (f *reportFlags) checkSending() error {
	var problems []error
	switch {
	case f.to.Endpoint == "":
		problems = append(problems, errors.New("--to \"\": expected host:port for gRPC, or a URL such as http://host:4318 for HTTP"))
	case strings.HasPrefix(f.to.Endpoint, "http://"), strings.HasPrefix(f.to.Endpoint, "https://"):
		if _, err := config.ParseHTTPEndpoint(f.to.Endpoint); err != nil {
			problems = append(problems, fmt.Errorf("--to: %w", err))
		}
	default:
		if _, err := config.ParseGRPCTarget(f.to.Endpoint); err != nil {
			problems = append(problems, fmt.Errorf("--to: %w", err))
		}
	}
	switch config.Compression(f.to.Compression) {
	case config.Gzip, config.Zstd, config.Snappy, config.NoCompression:
	default:
		problems = append(problems, fmt.Errorf("--compression %q: expected gzip, zstd, snappy or none", f.to.Compression))
	}
	if f.to.StopTimeout < 0 {
		problems = append(problems, fmt.Errorf("--stop-within %s: expected 0s or more", f.to.StopTimeout))
	}
	return errors.Join(problems...)
}

// status returns the status of the targets and of the file patterns.
func (f *reportFlags) status(engine *pprofreceiver.Engine) []pprofreceiver.TargetStatus {
	all := engine.Status()
	if len(f.cfg.Files) > 0 {
		all[len(all)-1].Name = filesName(f.cfg.Files)
	}
	return all
}

// run fetches and sends profiles until the context ends.
func (f *reportFlags) run(cmd *cobra.Command) error {
	stderr := cmd.ErrOrStderr()
	file, isFile := stderr.(*os.File)
	screen := newReportScreen(stderr, isFile && term.IsTerminal(int(file.Fd())))
	log := slog.New(slog.NewTextHandler(screen, nil))
	f.to.Name, f.to.Logger, f.to.ReportInterval = "penstock/report", log, min(f.interval, maxReportInterval)
	rep, err := reporter.NewOTLP(f.to)
	if err != nil {
		return err
	}
	engine, err := pprofreceiver.NewEngine(f.cfg, component.Settings{ID: "report", Logger: log}, rep)
	if err != nil {
		return err
	}
	if err := f.start(cmd.Context(), rep, engine); err != nil {
		return err
	}
	show := func() {
		if !f.quiet {
			screen.show(f.status(engine), rep.Stats().Samples)
		}
	}
	err = f.untilEnd(cmd.Context(), engine, show, screen.refresh(f.interval))
	// The context of the command has ended already, so Shutdown needs a new one.
	ctx, cancel := context.WithTimeout(context.Background(), f.to.StopTimeout)
	defer cancel()
	err = errors.Join(err, engine.Shutdown(ctx))
	stopped := rep.Shutdown(ctx)
	err = errors.Join(err, engine.SaveState(stopped == nil))
	screen.clear()
	return errors.Join(err, f.summary(cmd, engine, rep.Stats().Samples, stopped))
}

// start starts the reporter, and makes the engine go on where the command before has
// stopped.
func (f *reportFlags) start(ctx context.Context, rep *reporter.OTLPReporter, engine *pprofreceiver.Engine) error {
	err := rep.Start(ctx)
	if err == nil && f.to.SpoolDir != "" && !f.once {
		err = engine.KeepState(filepath.Join(f.to.SpoolDir, "fetched"))
	}
	if err != nil {
		return errors.Join(err, rep.Shutdown(ctx))
	}
	return nil
}

// untilEnd runs the engine and calls show at an interval.
func (f *reportFlags) untilEnd(ctx context.Context, engine *pprofreceiver.Engine, show func(), every time.Duration) error {
	ended := make(chan error, 1)
	if f.once {
		go func() { ended <- engine.RunOnce(ctx) }()
	} else if err := engine.Start(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	interrupted := ctx.Done()
	if f.once {
		interrupted = nil // RunOnce returns at the end of ctx; wait for it
	}
	for {
		select {
		case <-tick.C:
			show()
		case err := <-ended:
			return err
		case <-interrupted:
			return nil
		}
	}
}

// summary prints the result, and returns an error if profiles were lost.
func (f *reportFlags) summary(cmd *cobra.Command, engine *pprofreceiver.Engine, sent reporter.Flow, stopped error) error {
	out := cmd.OutOrStdout()
	all := f.status(engine)
	for _, line := range reportTable(all) {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out, reportTotals(sent))
	var failed int64
	for _, s := range all {
		failed += s.Failures
	}
	lost := sent.Reported + sent.Restored - sent.Acknowledged
	if f.to.SpoolDir != "" && sent.Held > 0 {
		lost -= sent.Held
		fmt.Fprintf(out, "%d samples stay in %s; the next command with --spool-dir sends them\n", sent.Held, f.to.SpoolDir)
	}
	switch {
	case lost > 0:
		return errors.Join(fmt.Errorf("%d of %d samples were not sent", lost, sent.Reported+sent.Restored), stopped)
	case f.once && failed > 0:
		return fmt.Errorf("%s failed", fetchCount(failed))
	}
	return stopped
}
