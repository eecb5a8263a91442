package selfobs

import (
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
)

// newJSONHandler returns a handler with the keys of the Collector's JSON, which tools
// that collect logs look for:
//
//	{"ts":"2026-01-31T20:24:05.123+0100","level":"info","caller":"graph/run.go:41","msg":"…","resource":{…},…}
func newJSONHandler(out io.Writer, cfg LogsConfig) slog.Handler {
	return slog.NewJSONHandler(out, &slog.HandlerOptions{Level: cfg.Level, AddSource: !cfg.DisableCaller, ReplaceAttr: withCollectorKeys})
}

// collectorTime is zap's layout for ISO 8601.
const collectorTime = "2006-01-02T15:04:05.000Z0700"

// withCollectorKeys renames the attributes of every line, not those of a component.
func withCollectorKeys(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Value.Kind() {
	case slog.KindTime:
		if a.Key == slog.TimeKey {
			return slog.String("ts", a.Value.Time().Format(collectorTime))
		}
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case slog.Level:
			if a.Key == slog.LevelKey {
				return slog.String("level", strings.ToLower(v.String()))
			}
		case *slog.Source:
			if a.Key == slog.SourceKey {
				return slog.String("caller", shortCaller(v))
			}
		}
	}
	return a
}

// shortCaller returns "folder/file.go:12", as zap does.
func shortCaller(s *slog.Source) string {
	if s.File == "" {
		return "undefined"
	}
	folder := filepath.Base(filepath.Dir(s.File))
	return folder + "/" + filepath.Base(s.File) + ":" + strconv.Itoa(s.Line)
}
