package debugexporter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
)

// count is one number of a batch's summary: "resource spans", 3.
type count struct {
	name string
	n    int
}

// showInLog logs the summary as one record, and the text, if there is any, as
// the message of another.
func showInLog(ctx context.Context, log *slog.Logger, title string, counts []count, text []byte) {
	attrs := make([]slog.Attr, len(counts))
	for i, c := range counts {
		attrs[i] = slog.Int(c.name, c.n)
	}
	log.LogAttrs(ctx, slog.LevelInfo, title, attrs...)
	if text = bytes.TrimSuffix(text, []byte("\n")); len(text) > 0 {
		log.LogAttrs(ctx, slog.LevelInfo, string(text))
	}
}

// plainOutput writes batches to files and terminals, one at a time.
type plainOutput struct {
	log     *slog.Logger
	files   []io.Closer
	mu      sync.Mutex
	writers []writer
}

type writer struct {
	io.Writer
	name    string
	failing bool
}

func (o *plainOutput) open(path string, stdout, stderr io.Writer) error {
	w := writer{name: path}
	switch path {
	case "stdout":
		w.Writer = stdout
	case "stderr":
		w.Writer = stderr
	default:
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, fileMode)
		if err != nil {
			return err
		}
		w.Writer = f
		o.files = append(o.files, f)
	}
	o.writers = append(o.writers, w)
	return nil
}

// show writes the summary in the format of the Collector's console, and the
// text:
//
//	Traces	{"resource spans": 1, "spans": 2}
func (o *plainOutput) show(title string, counts []count, text []byte) {
	line := append([]byte(title), "\t{"...)
	for i, c := range counts {
		if i > 0 {
			line = append(line, ", "...)
		}
		line = append(strconv.AppendQuote(line, c.name), ": "...)
		line = strconv.AppendInt(line, int64(c.n), 10)
	}
	o.print(append(line, "}\n"...), text)
}

// print writes parts of text unchanged, one after the other.
func (o *plainOutput) print(parts ...[]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.writers {
		for _, text := range parts {
			if len(text) > 0 {
				o.writers[i].write(text, o.log)
			}
		}
	}
}

// write logs the first of consecutive failures.
func (w *writer) write(text []byte, log *slog.Logger) {
	_, err := w.Write(text)
	if err != nil && !w.failing {
		log.Warn("writing to an output of the debug exporter failed", "output", w.name, "error", err)
	}
	w.failing = err != nil
}

func (o *plainOutput) close() error {
	var errs []error
	for _, f := range o.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
