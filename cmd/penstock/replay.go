package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/exporter/fileexporter"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

const (
	// maxReplayBytes is the largest request that is replayed, the default limit of
	// receivers.
	maxReplayBytes = 64 << 20
	// replayPause is how long a request waits that the server asks for again.
	replayPause = time.Second
	// progressEvery is the interval of the progress on a terminal.
	progressEvery = 500 * time.Millisecond
)

// replayFlags are the flags of replay.
type replayFlags struct {
	to, signal, caFile string
	headers            []string
	insecure, quiet    bool
	rate               float64
	timeout            time.Duration
}

func newReplayCommand() *cobra.Command {
	f := &replayFlags{}
	cmd := &cobra.Command{
		Use:   "replay file...",
		Short: "Send what the file exporter has written",
		Long: `Read the files of a file exporter, in any of its formats, and send the requests in
them over OTLP, in their order and with their times unchanged. A request that the
server asks to send again is sent until it is accepted; one that it refuses is
reported, and the others are sent.

Requests in protobuf do not say of which signal they are: --signal does, where it is
not clear.

The exit code is 1 if a request was not accepted, or a file could not be read to its
end.`,
		Example: `  penstock replay telemetry.json
  penstock replay --to http://localhost:4318 --rate 10000 'backup/traces.pb'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error { return f.run(cmd, files) },
	}
	cmd.Flags().StringVar(&f.signal, "signal", "", "traces, metrics, logs or profiles, for files in protobuf")
	f.add(cmd.Flags())
	return cmd
}

// add adds the flags of all commands that send requests.
func (f *replayFlags) add(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVar(&f.to, "to", "localhost:4317", "`address` of the server: host:port for gRPC, a URL for HTTP")
	flags.Float64Var(&f.rate, "rate", 0, "`items` per second; 0 means as fast as possible")
	flags.BoolVar(&f.insecure, "insecure", false, "gRPC without TLS (default true for localhost, unless --ca-file is given)")
	flags.StringVar(&f.caFile, "ca-file", "", "`file` with the CA certificates for the server")
	flags.StringArrayVar(&f.headers, "header", nil, "`name=value` to send with each request; may be repeated")
	flags.DurationVar(&f.timeout, "timeout", 10*time.Second, "timeout of a request")
	flags.BoolVar(&f.quiet, "quiet", false, "do not print progress")
}

// sender returns the client, and of which signal files in protobuf are.
func (f *replayFlags) sender(cmd *cobra.Command) (otlpclient.Sender, otlp.Signal, error) {
	var signal otlp.Signal
	if f.signal != "" {
		var ok bool
		if signal, ok = otlp.SignalByName(f.signal); !ok {
			return nil, 0, fmt.Errorf("--signal %q: expected traces, metrics, logs or profiles", f.signal)
		}
	}
	headers := config.Headers{}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, "=")
		if !ok || name == "" {
			return nil, 0, fmt.Errorf("--header %q: expected name=value", h)
		}
		headers = append(headers, config.Header{Name: name, Value: config.Secret(value)})
	}
	if strings.HasPrefix(f.to, "http://") || strings.HasPrefix(f.to, "https://") {
		cfg := config.DefaultHTTPClient()
		cfg.Endpoint, cfg.Timeout, cfg.Headers, cfg.TLS.CAFile = f.to, f.timeout, headers, f.caFile
		s, err := otlpclient.NewHTTP(cfg, nil)
		return s, signal, err
	}
	cfg := config.DefaultGRPCClient()
	cfg.Endpoint, cfg.Headers, cfg.TLS.CAFile = f.to, headers, f.caFile
	if cfg.TLS.Insecure = f.insecure; !cmd.Flags().Changed("insecure") {
		cfg.TLS.Insecure = isLocal(f.to) && f.caFile == ""
	}
	s, err := otlpclient.NewGRPC(cfg, f.timeout)
	return s, signal, err
}

// replay is the state of the command.
type replay struct {
	*replayFlags
	sender otlpclient.Sender
	out    io.Writer

	began, shown          time.Time
	file                  string
	name                  string // of the request; "": its number
	size, read            int64
	requests, items, sent int
	refused, again        int
}

func (f *replayFlags) run(cmd *cobra.Command, files []string) error {
	sender, signal, err := f.sender(cmd)
	if err != nil {
		return err
	}
	defer sender.Close()
	r := f.replay(cmd, sender)
	var problems []error
	for _, name := range files {
		if err := r.sendFile(cmd.Context(), name, signal); err != nil {
			problems = append(problems, fmt.Errorf("replay %s: %w", name, err))
			if cmd.Context().Err() != nil {
				break
			}
		}
	}
	return errors.Join(append(problems, r.finish())...)
}

func (f *replayFlags) replay(cmd *cobra.Command, sender otlpclient.Sender) *replay {
	return &replay{replayFlags: f, sender: sender, out: cmd.ErrOrStderr(), began: time.Now()}
}

// finish prints the counts. It returns an error if a request was refused.
func (r *replay) finish() error {
	r.progress(true)
	if r.refused > 0 {
		return fmt.Errorf("%d of %d requests were not accepted", r.refused, r.requests)
	}
	return nil
}

func (r *replay) sendFile(ctx context.Context, name string, signal otlp.Signal) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	r.file, r.size = name, info.Size()
	src := io.Reader(file)
	if info.Mode().IsRegular() {
		src = io.LimitReader(file, r.size) // the server may append to the same file
	}
	requests, err := fileexporter.NewRequests(src, signal, maxReplayBytes)
	if err != nil {
		return err
	}
	for {
		s, wire, err := requests.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := r.send(ctx, s, wire); err != nil {
			return err
		}
		r.read = requests.Offset()
		r.progress(false)
	}
}

// send sends a request until it is settled, and reports whether all of it was accepted.
// The error ends the command.
func (r *replay) send(ctx context.Context, s otlp.Signal, wire []byte) (accepted bool, err error) {
	items, err := otlp.Limits{Depth: otlp.MaxDepth}.Check(s, wire)
	if err != nil {
		return false, err
	}
	r.requests++
	r.items += items
	for {
		done := make(chan struct{})
		answer, err := r.sender.Send(ctx, otlpclient.Request{Signal: s, Bytes: wire, Done: func() { close(done) }})
		<-done
		var e *otlpclient.Error
		switch {
		case err == nil:
			r.sent += items - int(answer.Rejected)
			if answer.Rejected > 0 {
				r.say("%s: %d of %d items were rejected: %s", r.nameOf(), answer.Rejected, items, answer.Message)
				r.refused++
			}
			return answer.Rejected == 0, r.pace(ctx)
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case errors.As(err, &e) && e.Retryable:
			r.again++
			r.say("%s is sent again: %v", r.nameOf(), err)
			if err := sleep(ctx, max(e.RetryAfter, replayPause)); err != nil {
				return false, err
			}
		default:
			r.refused++
			r.say("%s was refused: %v", r.nameOf(), err)
			return false, nil
		}
	}
}

func (r *replay) nameOf() string { return cmp.Or(r.name, fmt.Sprintf("request %d", r.requests)) }

// pace waits as long as the rate wants.
func (r *replay) pace(ctx context.Context) error {
	if r.rate <= 0 {
		return nil
	}
	due := r.began.Add(time.Duration(float64(r.items) / r.rate * float64(time.Second)))
	return sleep(ctx, time.Until(due))
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// clearLine erases the progress on a terminal.
const clearLine = "\r\033[K"

// say prints a line about a request, in place of the progress.
func (r *replay) say(format string, args ...any) {
	if r.quiet {
		return
	}
	if r.onTerminal() {
		fmt.Fprint(r.out, clearLine)
	}
	fmt.Fprintf(r.out, format+"\n", args...)
}

func (r *replay) onTerminal() bool {
	f, ok := r.out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress prints how far the command has come: now and then on a terminal, and at the
// end.
func (r *replay) progress(end bool) {
	if r.quiet && !end || !end && (!r.onTerminal() || time.Since(r.shown) < progressEvery) {
		return
	}
	r.shown = time.Now()
	took := time.Since(r.began)
	line := fmt.Sprintf("%d requests, %d of %d items accepted, %d refused, %d sent again, %.0f items/s",
		r.requests, r.sent, r.items, r.refused, r.again, float64(r.sent)/max(took.Seconds(), 1e-3))
	if end {
		r.say("%s", line)
		return
	}
	percent := 100.0
	if r.size > 0 {
		percent = 100 * float64(r.read) / float64(r.size)
	}
	fmt.Fprintf(r.out, clearLine+"%s %3.0f %%  %s", r.file, percent, line)
}
