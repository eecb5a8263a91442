package selfobs

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	"golang.org/x/term"
)

// Logging is penstock's own log.
type Logging struct {
	*slog.Logger
	files    []*logFile
	push     *logPush  // nil: nothing is sent
	terminal io.Writer // the log's output if that is a terminal, else nil
	colours  bool
}

// Outputs replace the outputs of the process in an embedding program.
type Outputs struct {
	// Logger takes all log lines; LogsConfig has no effect then.
	Logger         *slog.Logger
	Stderr, Stdout io.Writer
}

// stdout is where the console exporter writes.
func (o Outputs) stdout() io.Writer {
	if o.Stdout != nil {
		return o.Stdout
	}
	return os.Stdout
}

// NewLogging creates the log that the configuration asks for. It opens no
// files.
func NewLogging(cfg LogsConfig, res *sdkresource.Resource, opts Outputs) *Logging {
	if opts.Logger != nil {
		return &Logging{Logger: opts.Logger}
	}
	l := &Logging{}
	out := l.outputs(cfg.OutputPaths, opts)
	onTerminal := isTerminal(out)
	var h slog.Handler
	if cfg.Encoding != "json" {
		if onTerminal {
			l.terminal, l.colours = out, wantsColours()
		}
		h = newConsoleHandler(out, cfg.Level, onTerminal, l.colours)
	} else {
		h = newJSONHandler(out, cfg)
		if !cfg.DisableZapResource {
			h = h.WithAttrs([]slog.Attr{resourceAttr(res)})
		}
	}
	var fields []slog.Attr
	for key, value := range cfg.InitialFields {
		fields = append(fields, slog.Any(key, value))
	}
	slices.SortFunc(fields, func(a, b slog.Attr) int { return strings.Compare(a.Key, b.Key) })
	h = h.WithAttrs(fields)
	if len(cfg.Processors) > 0 {
		l.push = &logPush{cfg: cfg.Processors, res: res, local: slog.New(h), stdout: opts.stdout()}
		h = &tee{Handler: h, to: l.push}
	}
	if cfg.Sampling != nil {
		h = newSampler(*cfg.Sampling, h)
	}
	l.Logger = slog.New(h)
	return l
}

func resourceAttr(res *sdkresource.Resource) slog.Attr {
	var attrs []any
	for _, kv := range res.Attributes() {
		attrs = append(attrs, slog.Any(string(kv.Key), kv.Value.AsInterface()))
	}
	return slog.Group("resource", attrs...)
}

func (l *Logging) outputs(paths []string, opts Outputs) io.Writer {
	var all []io.Writer
	for _, path := range paths {
		switch {
		case path == "stderr" && opts.Stderr != nil:
			all = append(all, opts.Stderr)
		case path == "stderr":
			all = append(all, os.Stderr)
		case path == "stdout" && opts.Stdout != nil:
			all = append(all, opts.Stdout)
		case path == "stdout":
			all = append(all, os.Stdout)
		default:
			f := &logFile{path: strings.TrimPrefix(path, "file://")}
			l.files = append(l.files, f)
			all = append(all, f)
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	return io.MultiWriter(all...)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// wantsColours follows no-color.org.
func wantsColours() bool { return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" }

// Local returns the log without what sends its lines, for failures to send.
func (l *Logging) Local() *slog.Logger {
	if l.push != nil {
		return l.push.local
	}
	return l.Logger
}

// Open opens the files of the log, and starts to send its lines.
func (l *Logging) Open() error {
	for _, f := range l.files {
		if err := f.open(); err != nil {
			return err
		}
	}
	return l.push.open()
}

// Close sends the last lines, and closes the files of the log.
func (l *Logging) Close() error {
	errs := []error{l.push.close()}
	for _, f := range l.files {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

// logFile is appended to between open and close. The handler above it writes one
// line at a time.
type logFile struct {
	path string
	file *os.File
}

func (f *logFile) open() error {
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log file of service.telemetry.logs.output_paths: %w", err)
	}
	f.file = file
	return nil
}

// Write drops what is logged while the file is not open.
func (f *logFile) Write(p []byte) (int, error) {
	if f.file == nil {
		return len(p), nil
	}
	return f.file.Write(p)
}

func (f *logFile) close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
