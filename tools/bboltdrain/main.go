// Command bboltdrain sends the undelivered data in the OpenTelemetry Collector's persistent
// queues to an OTLP server, such as penstock.
//
//	bboltdrain /var/lib/otelcol/file_storage                       list what is in the queues
//	bboltdrain --to localhost:4317 /var/lib/otelcol/file_storage   send it
//
// The files are those of the Collector's extension file_storage. They are opened for reading
// only, and neither changed nor deleted: a second run sends everything again. The Collector
// must not run on them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bboltdrain:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	to, signal, caFile string
	insecure           bool
	timeout            time.Duration
	headers            headers
	from               uint64
	all                bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bboltdrain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: bboltdrain [flags] FILE|DIRECTORY...")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.to, "to", "", "`address` of the server: host:port for gRPC, a URL for HTTP; without it the queues are listed")
	flags.StringVar(&o.signal, "signal", "", "traces, metrics, logs or profiles, for files whose names do not end with it")
	flags.BoolVar(&o.insecure, "insecure", false, "gRPC without TLS; always for localhost, unless --ca-file is given")
	flags.StringVar(&o.caFile, "ca-file", "", "`file` with the CA certificates for the server")
	flags.Var(&o.headers, "header", "`name=value` to send with each request; may be repeated")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "timeout of a request")
	flags.Uint64Var(&o.from, "from", 0, "`index` of the first request to send, after an interruption")
	flags.BoolVar(&o.all, "all", false, "also requests that the queue no longer refers to; the Collector may have delivered them")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return flag.ErrHelp
	}
	files, err := expand(flags.Args())
	if err != nil {
		return err
	}
	if o.from > 0 && len(files) != 1 {
		return fmt.Errorf("--from: expected one file, found %d", len(files))
	}
	return drainAll(ctx, o, files, stdout)
}

func drainAll(ctx context.Context, o options, files []string, stdout io.Writer) error {
	d := drain{options: o, out: stdout}
	if o.to != "" {
		var err error
		if d.sender, err = newSender(o); err != nil {
			return err
		}
		defer d.sender.Close()
	}
	var problems []error
	for _, file := range files {
		if err := d.file(ctx, file); err != nil {
			problems = append(problems, fmt.Errorf("drain %s: %w", file, err))
			if ctx.Err() != nil {
				break
			}
		}
	}
	return errors.Join(problems...)
}

// signalOf returns the signal of a queue: exporter_otlp__traces.
func (o *options) signalOf(name string) (otlp.Signal, error) {
	text := o.signal
	if text == "" {
		text = name[lastUnderscore(name)+1:]
	}
	s, ok := otlp.SignalByName(text)
	if !ok {
		return 0, fmt.Errorf("the signal %q is unknown: expected a name that ends with _traces, _metrics, _logs or _profiles, or --signal", text)
	}
	return s, nil
}
