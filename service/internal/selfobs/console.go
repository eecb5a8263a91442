package selfobs

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
)

// Colours of a terminal, as ECMA-48 numbers them.
const (
	dim    = "\x1b[2m"
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	plain  = "\x1b[0m"
)

// consoleHandler writes log lines for people:
//
//	20:24:05.123  INFO   Starting GRPC server  receiver=otlp endpoint=127.0.0.1:4317
//
// slog's own text handler writes the attributes.
type consoleHandler struct {
	attrs slog.Handler // writes "key=value ...\n" to line.buf
	line  *consoleLine
}

// consoleLine is shared by a handler and the handlers derived from it.
type consoleLine struct {
	mu         sync.Mutex
	buf        bytes.Buffer
	out        io.Writer
	timeFormat string
	colours    bool
}

// newConsoleHandler returns a handler that writes to out. Lines begin with the
// time on a terminal, and with date and time elsewhere.
func newConsoleHandler(out io.Writer, level slog.Leveler, terminal, colours bool) *consoleHandler {
	line := &consoleLine{out: out, timeFormat: "2006-01-02T15:04:05.000Z07:00", colours: colours}
	if terminal {
		line.timeFormat = "15:04:05.000"
	}
	attrs := slog.NewTextHandler(&line.buf, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutBuiltins})
	return &consoleHandler{attrs, line}
}

// withoutBuiltins drops the attributes that the beginning of the line already
// shows. The time is already zero.
func withoutBuiltins(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

func (h *consoleHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.attrs.Enabled(ctx, level)
}

func (h *consoleHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return &consoleHandler{h.attrs.WithAttrs(as), h.line}
}

func (h *consoleHandler) WithGroup(name string) slog.Handler {
	return &consoleHandler{h.attrs.WithGroup(name), h.line}
}

// Handle implements slog.Handler.
func (h *consoleHandler) Handle(ctx context.Context, r slog.Record) error {
	l := h.line
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
	if !r.Time.IsZero() {
		l.write(dim, r.Time.Format(l.timeFormat))
		l.buf.WriteString("  ")
	}
	l.write(levelColour(r.Level), r.Level.String())
	l.buf.WriteString("       "[min(len(r.Level.String()), 5):])
	l.buf.WriteString(r.Message)
	l.buf.WriteString("  ")
	if err := h.attrs.Handle(ctx, withoutTime(r)); err != nil {
		return err
	}
	text := append(bytes.TrimRight(l.buf.Bytes(), " \n"), '\n')
	_, err := l.out.Write(text)
	return err
}

func withoutTime(r slog.Record) slog.Record {
	bare := slog.Record{Level: r.Level}
	r.Attrs(func(a slog.Attr) bool {
		bare.AddAttrs(a)
		return true
	})
	return bare
}

func (l *consoleLine) write(colour, text string) {
	if l.colours {
		text = colour + text + plain
	}
	l.buf.WriteString(text)
}

func levelColour(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return red
	case level >= slog.LevelWarn:
		return yellow
	case level >= slog.LevelInfo:
		return green
	}
	return dim
}
