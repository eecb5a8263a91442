// Command run sends the corpus of bad inputs to an OTLP server and reports which
// answers are wrong. The server must have no TLS and no authentication, and its
// pipelines must accept all signals:
//
//	go run ./internal/test/badinput/run -grpc localhost:4317 -http localhost:4318 -max-bytes 67108864
//
// It exits with 1 if a case failed, and with 2 if the server could not be tested.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/badinput"
	"github.com/penstock-telemetry/penstock/otlp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// settings are the flags.
type settings struct {
	opts          badinput.Options
	metrics, only string
	signals, dir  string
	json, list    bool
	verbose       bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("badinput", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.opts.GRPC, "grpc", "", "`host:port` of OTLP/gRPC; without it those cases are skipped")
	flags.StringVar(&s.opts.HTTP, "http", "", "`host:port` of OTLP/HTTP; without it those cases are skipped")
	flags.StringVar(&s.metrics, "metrics", "", "`URL` of the server's Prometheus page, read before and after each case, which takes minutes; without it counters are not checked")
	flags.StringVar(&s.only, "only", "", "run cases that match the `regexp`")
	flags.StringVar(&s.signals, "signals", "traces,metrics,logs,profiles", "signals that the server accepts")
	flags.StringVar(&s.dir, "cases", "", "`folder` of *.cases files; without it the built-in ones")
	flags.IntVar(&s.opts.MaxBytes, "max-bytes", 64<<20, "the server's limit of a request")
	flags.DurationVar(&s.opts.Timeout, "timeout", 5*time.Second, "timeout of each step of a case")
	flags.BoolVar(&s.opts.SpecOnly, "spec", false, "check what the OTLP specification says, not what penstock promises in addition")
	flags.BoolVar(&s.json, "json", false, "write the results as JSON, one per line, instead of a table")
	flags.BoolVar(&s.list, "list", false, "list the cases and send nothing")
	flags.BoolVar(&s.verbose, "v", false, "print a line for each case")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	code, err := s.run(ctx, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "badinput:", err)
	}
	return code
}

func (s *settings) run(ctx context.Context, stdout, stderr io.Writer) (int, error) {
	cases, err := badinput.Corpus()
	if s.dir != "" {
		cases, err = badinput.Load(os.DirFS(s.dir), ".")
	}
	if err == nil {
		err = s.complete(stderr)
	}
	if err != nil {
		return 2, err
	}
	if s.list {
		for _, c := range cases {
			if s.opts.Only == nil || s.opts.Only.MatchString(c.ID()) {
				fmt.Fprintln(stdout, c.ID())
			}
		}
		return 0, nil
	}
	results, err := badinput.Run(ctx, cases, s.opts)
	if s.json {
		enc := json.NewEncoder(stdout)
		for _, r := range results {
			if err := enc.Encode(r); err != nil {
				return 2, err
			}
		}
	} else {
		badinput.Report(stdout, results)
	}
	if err != nil {
		return 2, err
	}
	if _, total := badinput.Sum(results); total.Failed > 0 {
		return 1, nil
	}
	return 0, nil
}

// complete converts the flags' texts to options.
func (s *settings) complete(stderr io.Writer) (err error) {
	if s.only != "" {
		if s.opts.Only, err = regexp.Compile(s.only); err != nil {
			return fmt.Errorf("-only: %w", err)
		}
	}
	for _, name := range strings.Split(s.signals, ",") {
		sig, ok := otlp.SignalByName(name)
		if !ok {
			return fmt.Errorf("-signals: unknown signal %q", name)
		}
		s.opts.Signals = append(s.opts.Signals, sig)
	}
	if !s.list && s.opts.GRPC == "" && s.opts.HTTP == "" {
		return fmt.Errorf("expected -grpc or -http")
	}
	if s.metrics != "" {
		s.opts.Counts = badinput.Scrape(s.metrics, s.opts.Timeout)
	}
	shown := time.Now()
	s.opts.Progress = func(done, of int, r badinput.Result) {
		switch {
		case s.verbose && r.Skipped != "":
			fmt.Fprintf(stderr, "skip %s: %s\n", r.ID, r.Skipped)
		case s.verbose:
			fmt.Fprintf(stderr, "%s %s: %s\n", map[bool]string{true: "ok  ", false: "FAIL"}[len(r.Wrong) == 0], r.ID, r.Got)
		case time.Since(shown) > 5*time.Second:
			shown = time.Now()
			fmt.Fprintf(stderr, "%d of %d cases\n", done, of)
		}
	}
	return nil
}
