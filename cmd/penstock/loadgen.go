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

// loadgenFlags are the flags whose values need work before they are a
// configuration.
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
		Short: "Send made-up telemetry to a server and measure it",
		Long: `Send made-up traces, metrics, logs and profiles over OTLP, at a constant rate or as
fast as they are answered, and report what was acknowledged, what failed and how
long it took. With --rate, latency is counted from when a request was due, however
late it was sent, so that a server that stalls is charged for all who had to wait.

Requests are built once out of --seed. Ids and times are patched as they are sent;
--deterministic leaves the times fixed, and then each run sends the same bytes.

The exit code is 1 if nothing was acknowledged.`,
		Example: `  penstock loadgen --signal all --duration 30s
  penstock loadgen --signal profiles --protocol http --rate 5000 --batch 50
  penstock loadgen --endpoint gateway.example.com:4317 --header "authorization=Bearer ..." --json`,
		// What is wrong with the flags is the command line's fault, which ends
		// with what Args returns.
		Args: func(cmd *cobra.Command, args []string) error {
			return errors.Join(cobra.NoArgs(cmd, args), f.complete(cmd.Flags().Changed))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.bind(cmd.Flags())
	return cmd
}

func (f *loadgenFlags) bind(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringSliceVar(&f.signals, "signal", []string{"traces"}, "`what` to send: traces, metrics, logs, profiles, several of them, or all")
	flags.StringVar(&f.Protocol, "protocol", f.Protocol, "grpc or http (protobuf)")
	flags.StringVar(&f.Endpoint, "endpoint", "", "`where` to: host:port or a URL (default localhost:4317 for grpc, localhost:4318 for http)")
	flags.BoolVar(&f.TLS.Insecure, "insecure", false, "no TLS (default true for this machine, unless other TLS flags are given)")
	flags.StringVar(&f.TLS.CAFile, "ca-file", "", "`file` with the certificate that vouches for the server")
	flags.StringVar(&f.TLS.CertFile, "cert-file", "", "`file` with the client's certificate")
	flags.StringVar(&f.TLS.KeyFile, "key-file", "", "`file` with the client's key")
	flags.StringVar(&f.TLS.ServerName, "server-name", "", "`name` to expect in the server's certificate")
	flags.BoolVar(&f.TLS.InsecureSkipVerify, "insecure-skip-verify", false, "TLS without knowing to whom")
	flags.StringArrayVar(&f.headers, "header", nil, "`name=value` to send with each request; may be repeated")
	flags.StringVar(&f.compression, "compression", "none", "none, gzip or zstd")
	flags.IntVar(&f.BatchItems, "batch", f.BatchItems, "spans, data points, log records or samples in a request")
	flags.IntVar(&f.ItemBytes, "item-bytes", 0, "`bytes` of an item, about; 0 is as it comes (100 to 800)")
	flags.Float64Var(&f.ItemsPerSecond, "rate", 0, "`items` a second; 0 is as fast as it goes")
	flags.DurationVar(&f.Duration, "duration", f.Duration, "how long; 0 is until interrupted or --requests are sent")
	flags.Uint64Var(&f.Requests, "requests", 0, "how many requests; 0 is no limit. Without --duration nothing else ends the run then")
	flags.IntVar(&f.Workers, "workers", f.Workers, "how many requests may be under way")
	flags.IntVar(&f.Connections, "connections", f.Connections, "how many connections share them (over HTTP/1.1 each worker has one)")
	flags.DurationVar(&f.Timeout, "timeout", f.Timeout, "how long one request may take")
	flags.Uint64Var(&f.Seed, "seed", f.Seed, "what to make the requests of")
	flags.BoolVar(&f.Deterministic, "deterministic", false, "leave the times in the requests fixed")
	flags.BoolVar(&f.json, "json", false, "print the report as one JSON object")
	flags.BoolVar(&f.quiet, "quiet", false, "no progress while it runs")
}

// complete makes a configuration of the flags.
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
	return errors.Join(append(problems, f.Validate())...)
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

// completeEndpoint puts in the default, and where a URL is needed, its scheme.
// This machine is spoken to without TLS unless a flag says otherwise.
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

// run sends, and prints the report to stdout and progress to stderr.
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
