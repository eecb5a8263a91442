package selfobs

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	"golang.org/x/term"
)

// Logging is penstock's own log. Its configuration can be replaced while it is in use;
// loggers that were derived from it follow.
type Logging struct {
	*slog.Logger
	local *slog.Logger // without what sends its lines

	given       bool // Outputs.Logger replaces it
	res         *sdkresource.Resource
	opts        Outputs
	full, alone live[slog.Handler] // of Logger and local
	now         *logState
	writing     sync.Mutex     // held for each line, also by two states
	ending      sync.WaitGroup // of states that were replaced
}

// logState is what one configuration makes of the log.
type logState struct {
	cfg         LogsConfig
	full, alone slog.Handler
	files       []*logFile
	push        *logPush  // nil: nothing is sent
	sampled     *sampled  // nil: no line is dropped
	terminal    io.Writer // the log's output if that is a terminal, else nil
	colours     bool
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
		return &Logging{Logger: opts.Logger, local: opts.Logger, given: true}
	}
	l := &Logging{res: res, opts: opts}
	l.Logger, l.local = slog.New(&liveHandler{root: &l.full}), slog.New(&liveHandler{root: &l.alone})
	l.use(l.state(cfg))
	return l
}

// state returns what cfg asks for; it keeps of the current state what does not differ,
// except files.
func (l *Logging) state(cfg LogsConfig) *logState {
	s := &logState{cfg: cfg}
	out := s.outputs(cfg.OutputPaths, l.opts)
	onTerminal := isTerminal(out)
	locked := &lockedWriter{&l.writing, out}
	var h slog.Handler
	if cfg.Encoding != "json" {
		if onTerminal {
			s.terminal, s.colours = out, wantsColours()
		}
		h = newConsoleHandler(locked, cfg.Level, onTerminal, s.colours)
	} else {
		h = newJSONHandler(locked, cfg)
		if !cfg.DisableZapResource {
			h = h.WithAttrs([]slog.Attr{resourceAttr(l.res)})
		}
	}
	h = h.WithAttrs(fieldAttrs(cfg.InitialFields))
	s.alone, s.full = h, h
	if len(cfg.Processors) > 0 {
		s.push = l.pusher(cfg)
		s.full = &tee{Handler: s.full, to: s.push}
	}
	if cfg.Sampling != nil {
		s.sampled = l.sampled(cfg)
		s.full = &sampler{s.full, s.sampled}
	}
	return s
}

// pusher returns what sends the lines; the current one if cfg asks for the same.
func (l *Logging) pusher(cfg LogsConfig) *logPush {
	if l.now != nil && reflect.DeepEqual(l.now.cfg.Processors, cfg.Processors) {
		return l.now.push
	}
	return &logPush{cfg: cfg.Processors, res: l.res, local: l.local, stdout: l.opts.stdout()}
}

func (l *Logging) sampled(cfg LogsConfig) *sampled {
	if l.now != nil && l.now.sampled != nil && *l.now.cfg.Sampling == *cfg.Sampling {
		return l.now.sampled
	}
	return newSampled(*cfg.Sampling)
}

// use makes s the current state, and returns the function that waits until the previous
// one is not in use any more.
func (l *Logging) use(s *logState) (end func()) {
	full, alone := l.full.replace(s.full), l.alone.replace(s.alone)
	l.now = s
	return func() {
		full.end()
		alone.end()
	}
}

// fieldAttrs returns the initial fields in a fixed order.
func fieldAttrs(fields map[string]any) (attrs []slog.Attr) {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		attrs = append(attrs, slog.Any(key, fields[key]))
	}
	return attrs
}

// lockedWriter writes one line at a time.
type lockedWriter struct {
	*sync.Mutex
	to io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.Lock()
	defer w.Unlock()
	return w.to.Write(p)
}

func resourceAttr(res *sdkresource.Resource) slog.Attr {
	var attrs []any
	for _, kv := range res.Attributes() {
		attrs = append(attrs, slog.Any(string(kv.Key), kv.Value.AsInterface()))
	}
	return slog.Group("resource", attrs...)
}

func (s *logState) outputs(paths []string, opts Outputs) io.Writer {
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
			s.files = append(s.files, f)
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
func (l *Logging) Local() *slog.Logger { return l.local }

// Open opens the files of the log, and starts to send its lines.
func (l *Logging) Open() error {
	if l.given {
		return nil
	}
	return errors.Join(l.now.openFiles(), l.now.push.open())
}

func (s *logState) openFiles() error {
	for _, f := range s.files {
		if err := f.open(); err != nil {
			return err
		}
	}
	return nil
}

func (s *logState) closeFiles() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

// Close sends the last lines, and closes the files of the log.
func (l *Logging) Close() error {
	if l.given {
		return nil
	}
	l.ending.Wait()
	return errors.Join(l.now.push.close(), l.now.closeFiles())
}

// Plan prepares the log for another configuration. Its files are opened again, also if
// they are the same, since they may have been renamed to begin new ones.
func (l *Logging) Plan(cfg LogsConfig) (Change, error) {
	if l.given || len(cfg.OutputPaths) == 0 && reflect.DeepEqual(cfg, l.now.cfg) {
		return Change{}, nil
	}
	next := l.state(cfg)
	if err := next.openFiles(); err != nil {
		return Change{}, errors.Join(err, next.closeFiles())
	}
	samePush := next.push == l.now.push
	if !samePush {
		if err := next.push.open(); err != nil {
			return Change{}, errors.Join(err, next.closeFiles())
		}
	}
	return Change{
		Apply: func() { l.replace(next, samePush) },
		Undo: func() {
			if !samePush {
				_ = next.push.close() // it has sent nothing
			}
			_ = next.closeFiles() // nothing was written
		},
	}, nil
}

// replace uses the next state, and ends the current one in the background: sending its
// last lines may take a while.
func (l *Logging) replace(next *logState, samePush bool) {
	old := l.now
	end := l.use(next)
	l.ending.Go(func() {
		end()
		err := old.closeFiles()
		if !samePush {
			err = errors.Join(err, old.push.close())
		}
		if err != nil {
			l.local.Warn("ending the outputs of the log that a reload has replaced failed", slog.Any("error", err))
		}
	})
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
