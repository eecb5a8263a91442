package pprofreceiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
)

// maxFiles bounds the files that are watched at a time.
const maxFiles = 10_000

// A fileReader reads files that match patterns, each one once.
type fileReader struct {
	engine          *Engine
	health          *health
	patterns        []string
	interval, delay time.Duration
	resource        libpf.Attributes
	seen            map[string]fileVersion // of the files that match now
	logged          bool                   // that there are too many
}

// fileVersion distinguishes a rewritten file from the one that was read.
type fileVersion struct {
	Size    int64
	ModTime time.Time
}

func (v fileVersion) equal(o fileVersion) bool { return v.Size == o.Size && v.ModTime.Equal(o.ModTime) }

func newFileReader(e *Engine, globs []glob) *fileReader {
	f := &fileReader{
		engine: e, health: newHealth(e.set.Logger, "files", ofFiles), seen: map[string]fileVersion{},
		interval: globs[0].interval, delay: globs[0].delay,
		resource: libpf.NewAttributes(e.cfg.commonAttributes("", nil)...),
	}
	for _, g := range globs {
		f.patterns = append(f.patterns, g.pattern)
		f.interval, f.delay = min(f.interval, g.interval), min(f.delay, g.delay)
	}
	return f
}

// poll reads what is new. Files that are gone are forgotten. A file that cannot
// be used is logged once, and tried again when it has changed: it may have been
// half written.
func (f *fileReader) poll(ctx context.Context) {
	now := map[string]fileVersion{}
	read := 0
	for _, path := range f.matches() {
		if ctx.Err() != nil {
			f.keep(now, read)
			return
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue // gone since, or a folder
		}
		version := fileVersion{info.Size(), info.ModTime()}
		now[path] = version
		if f.seen[path].equal(version) {
			continue
		}
		n, err := f.engine.measured(ctx, "file", "file", func(ctx context.Context) (counts, error) { return f.read(ctx, path, version) })
		if err != nil && causeOf(err) == causeStopped {
			delete(now, path)
			f.keep(now, read)
			return
		}
		f.engine.ended(f.health, path, n, err)
		if tryAgain(err) {
			delete(now, path)
		}
		if read++; read%keepFilesEvery == 0 {
			f.keep(now, read)
		}
	}
	for path := range f.seen {
		if _, still := now[path]; !still {
			f.health.forget(path)
		}
	}
	forgotten := len(f.seen) > len(now)
	f.seen = now
	if read > 0 || forgotten {
		f.keep(now, 1)
	}
}

// tryAgain reports whether a file was not taken for want of room, which may be there in
// the next round.
func tryAgain(err error) bool {
	return err != nil && (causeOf(err) == causeMemory || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled))
}

// keepFilesEvery is after how many files it is kept that they were read.
const keepFilesEvery = 100

// keep keeps which files were read: those of now, and in the middle of a round those of
// the round before.
func (f *fileReader) keep(now map[string]fileVersion, read int) {
	if f.engine.state == nil || read == 0 {
		return
	}
	seen := maps.Clone(f.seen)
	maps.Copy(seen, now)
	f.engine.state.keep(filesKey, &savedFiles{seen})
}

// matches returns the files of all patterns, sorted, each once.
func (f *fileReader) matches() []string {
	var all []string
	for _, pattern := range f.patterns {
		found := MatchFiles(pattern)
		all = append(all, found...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > maxFiles {
		if !f.logged {
			f.engine.set.Logger.Warn("too many files match: the rest, by name, is left out until others are gone",
				slog.Int("matching", len(all)), slog.Int("read", maxFiles))
		}
		f.logged = true
		return all[:maxFiles]
	}
	f.logged = false
	return all
}

func (f *fileReader) read(ctx context.Context, path string, v fileVersion) (counts, error) {
	limit := f.engine.cfg.MaxProfileBytes
	if v.Size > int64(limit) {
		return counts{}, &failure{causeTooLarge, fmt.Errorf("the file has %d bytes, more than max_profile_bytes, %d", v.Size, limit)}
	}
	file, err := os.Open(path)
	if err != nil {
		return counts{}, &failure{causeFile, err}
	}
	r, err := f.engine.newRoom(ctx, f.health.name)
	if err != nil {
		return counts{}, errors.Join(err, file.Close())
	}
	defer r.close()
	data, err := readAll(file, limit, r)
	if err := errors.Join(err, file.Close()); err != nil {
		return counts{}, asFailure(causeFile, fmt.Errorf("read the file: %w", err))
	}
	f.health.fetched(len(data))
	return f.engine.parsed(ctx, data, r, true, func(a *answer) (n counts, err error) {
		a.resource = libpf.NewAttributes(libpf.StringAttr("file.path", path), libpf.StringAttr("file.name", filepath.Base(path))).
			With(slices.Collect(f.resource.All())...)
		err = f.engine.hand(&n, a, allColumns(a), a.p.Sample, fileTime(a, v), fileLasted(a))
		return n, err
	})
}

// fileTime is when the profile in a file begins, however old it is.
func fileTime(a *answer, v fileVersion) time.Time {
	if a.p.TimeNanos > 0 {
		return time.Unix(0, a.p.TimeNanos)
	}
	return v.ModTime.Add(-fileLasted(a))
}

// fileLasted is at least a nanosecond, also of a moment: some backends refuse a
// profile without a duration.
func fileLasted(a *answer) time.Duration { return max(time.Duration(a.p.DurationNanos), 1) }

func allColumns(a *answer) []int {
	columns := make([]int, len(a.p.SampleType))
	for i := range columns {
		columns[i] = i
	}
	return columns
}
