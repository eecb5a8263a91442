package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/loadgen"
	"github.com/penstock-telemetry/penstock/otlp"
)

// loadgenFlags are the flags of loadgen. Those that are not in Config are converted by
// complete.
type loadgenFlags struct {
	loadgen.Config
	signals     []string
	headers     []string
	compression string
	json, quiet bool
}

func newLoadgenCommand() *cobra.Command {
	f := &loadgenFlags{Config: loadgen.DefaultConfig()}
	cmd := &cobra.Command{
		Use:   "loadgen",
		Short: "Send generated telemetry to a server and measure it",
		Long: `Send generated traces, metrics, logs and profiles over OTLP, at a constant rate or
as fast as possible, and report the acknowledged and failed requests and their
latency. With --rate, latency is measured from the time a request was due, even if
it was sent later, so that it includes the time that requests wait for a server that
stalls.

Requests are built once from --seed. Ids and times are patched before they are sent.
With --deterministic the times are fixed, so that each run sends the same bytes.

The variables OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL, _HEADERS, _COMPRESSION,
_TIMEOUT, _INSECURE, _CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY apply to flags
that are not given.

The exit code is 1 if nothing was acknowledged.`,
		Example: `  penstock loadgen --signal all --duration 30s
  penstock loadgen --signal profiles --protocol http --rate 5000 --batch 50
  penstock loadgen --endpoint gateway.example.com:4317 --header "authorization=Bearer ..." --json`,
		// Errors of the flags are errors of the command line, which Args returns.
		Args: func(cmd *cobra.Command, args []string) error {
			env := f.applyOTELEnv(newOTELEnv(cmd.Flags(), ""))
			return errors.Join(cobra.NoArgs(cmd, args), env, f.complete(cmd.Flags().Changed))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.bind(cmd.Flags())
	return cmd
}

func (f *loadgenFlags) bind(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringSliceVar(&f.signals, "signal", []string{"traces"}, "`signals` to send: traces, metrics, logs, profiles, several of them, or all")
	flags.StringVar(&f.Protocol, "protocol", f.Protocol, "grpc or http (protobuf)")
	flags.StringVar(&f.Endpoint, "endpoint", "", "`address` of the server: host:port or a URL (default localhost:4317 for grpc, localhost:4318 for http)")
	flags.BoolVar(&f.TLS.Insecure, "insecure", false, "no TLS (default true for localhost, unless other TLS flags are given)")
	flags.StringVar(&f.TLS.CAFile, "ca-file", "", "`file` with the CA certificates for the server")
	flags.StringVar(&f.TLS.CertFile, "cert-file", "", "`file` with the client's certificate")
	flags.StringVar(&f.TLS.KeyFile, "key-file", "", "`file` with the client's key")
	flags.StringVar(&f.TLS.ServerName, "server-name", "", "expected `name` in the server's certificate")
	flags.BoolVar(&f.TLS.InsecureSkipVerify, "insecure-skip-verify", false, "do not verify the server's certificate")
	flags.StringArrayVar(&f.headers, "header", nil, "`name=value` to send with each request; may be repeated")
	flags.StringVar(&f.compression, "compression", "none", "none, gzip or zstd")
	flags.IntVar(&f.BatchItems, "batch", f.BatchItems, "spans, data points, log records or samples in a request; by default fewer at a low --rate, so that each signal has a request a second")
	flags.IntVar(&f.ItemBytes, "item-bytes", 0, "approximate size of an item in `bytes`; 0 means any size (100 to 800)")
	flags.Float64Var(&f.ItemsPerSecond, "rate", 0, "`items` per second; 0 means as fast as possible")
	flags.DurationVar(&f.Duration, "duration", f.Duration, "duration of the run; 0 means until interrupted, or until --requests are sent")
	flags.Uint64Var(&f.Requests, "requests", 0, "number of requests; 0 means no limit. If set, there is no limit of time unless --duration is set, too")
	flags.IntVar(&f.Workers, "workers", f.Workers, "maximum number of requests in flight")
	flags.IntVar(&f.Connections, "connections", f.Connections, "number of connections (over HTTP/1.1 each worker has one)")
	flags.DurationVar(&f.Timeout, "timeout", f.Timeout, "timeout of a request")
	flags.Uint64Var(&f.Seed, "seed", f.Seed, "seed of the generated requests")
	flags.BoolVar(&f.Deterministic, "deterministic", false, "fixed times in the requests")
	flags.BoolVar(&f.json, "json", false, "print the report as one JSON object")
	flags.BoolVar(&f.quiet, "quiet", false, "do not print progress")
}

// complete converts the flags to a configuration and validates it.
func (f *loadgenFlags) complete(changed func(flag string) bool) error {
	if changed("requests") && !changed("duration") {
		f.Duration = 0
	}
	f.Compression = config.Compression(f.compression)
	var problems []error
	f.Signals, problems = signalsByName(f.signals)
	f.Headers = nil
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, "=")
		if !ok {
			problems = append(problems, fmt.Errorf("header %q: expected name=value", h))
		}
		f.Headers = append(f.Headers, config.Header{Name: strings.TrimSpace(name), Value: config.Secret(value)})
	}
	f.completeEndpoint(changed)
	if !changed("batch") {
		f.shrinkBatch()
	}
	return errors.Join(append(problems, f.Validate())...)
}

// shrinkBatch makes the batch so small that a low rate is a request of each signal a
// second.
func (f *loadgenFlags) shrinkBatch() {
	if most := f.ItemsPerSecond / float64(max(len(f.Signals), 1)); f.ItemsPerSecond > 0 && most < float64(f.BatchItems) {
		f.BatchItems = max(int(most), 1)
	}
}

func signalsByName(names []string) (signals []otlp.Signal, problems []error) {
	for _, name := range names {
		s, ok := otlp.SignalByName(name)
		switch {
		case ok:
			signals = append(signals, s)
		case name == "all":
			every := otlp.Signals()
			signals = append(signals, every[:]...)
		default:
			problems = append(problems, fmt.Errorf("unknown signal %q: expected traces, metrics, logs, profiles or all", name))
		}
	}
	return signals, problems
}

// completeEndpoint sets the default endpoint, and adds the scheme of a URL. Without flags
// for TLS, TLS is not used for localhost.
func (f *loadgenFlags) completeEndpoint(changed func(flag string) bool) {
	overHTTP := f.Protocol == loadgen.HTTP
	if f.Endpoint == "" {
		f.Endpoint = "localhost:4317"
		if overHTTP {
			f.Endpoint = "localhost:4318"
		}
	}
	if !changed("insecure") {
		f.TLS.Insecure = isLocal(f.Endpoint)
		for _, flag := range []string{"ca-file", "cert-file", "key-file", "server-name", "insecure-skip-verify"} {
			f.TLS.Insecure = f.TLS.Insecure && !changed(flag)
		}
	}
	if overHTTP && !strings.Contains(f.Endpoint, "://") {
		scheme := "https://"
		if f.TLS.Insecure {
			scheme = "http://"
		}
		f.Endpoint = scheme + f.Endpoint
	}
}

func isLocal(endpoint string) bool {
	if _, rest, ok := strings.Cut(endpoint, "://"); ok {
		endpoint = rest
	}
	endpoint, _, _ = strings.Cut(endpoint, "/")
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		host = endpoint
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// run sends the load, and prints progress to stderr and the report to stdout.
func (f *loadgenFlags) run(cmd *cobra.Command) error {
	stderr := cmd.ErrOrStderr()
	file, isFile := stderr.(*os.File)
	progress := loadgen.NewProgressPrinter(stderr, isFile && term.IsTerminal(int(file.Fd())))
	watch := progress.Print
	if f.quiet {
		watch = nil
	}
	report, err := loadgen.Run(cmd.Context(), f.Config, watch)
	progress.Finish()
	if err != nil {
		return err
	}
	if f.json {
		out := json.NewEncoder(cmd.OutOrStdout())
		out.SetEscapeHTML(false)
		err = out.Encode(report)
	} else {
		err = report.WriteText(cmd.OutOrStdout())
	}
	return errors.Join(err, report.Err())
}
