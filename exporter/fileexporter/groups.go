package fileexporter

import (
	"container/list"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxSegmentBytes and maxNameBytes bound what a value of the attribute adds to a
	// path, and each name in it. Longer ones are cut and get a hash.
	maxSegmentBytes = 1024
	maxNameBytes    = 200
	// maxKeptBytes is how large the buffer of a file may be to be kept.
	maxKeptBytes = 64 << 10
	// maxSeenFiles is how many files are remembered as written to. A file beyond them is
	// not truncated when it is opened.
	maxSeenFiles = 1 << 20
)

// groups is a file for each value of an attribute, of which a number is open. It is not
// safe for concurrent use.
type groups struct {
	cfg            Config
	log            *slog.Logger
	prefix, suffix string // of all paths
	open           map[string]*list.Element
	recent         *list.List // of *recordFile, the one that was used last first
	pending        int        // bytes that are buffered in all open files, at most
	seed           maphash.Seed
	seen           map[uint64]struct{} // files that are not truncated any more, by hash
}

func newGroups(cfg Config, log *slog.Logger) *groups {
	prefix, suffix, _ := strings.Cut(cfg.Path, "*")
	return &groups{cfg: cfg, log: log, prefix: prefix, suffix: suffix,
		open: map[string]*list.Element{}, recent: list.New(), seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
}

// start creates the directory that all files are in.
func (g *groups) start() error { return g.createDirectory(g.prefix + "x") }

func (g *groups) createDirectory(path string) error {
	mode, err := g.cfg.directoryMode()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), mode)
	}
	if err != nil {
		return fmt.Errorf("create the directory of %s: %w", path, err)
	}
	return nil
}

// path returns the path of the file for a value, which is below the directory of the
// prefix whatever the value is.
func (g *groups) path(value []byte) string {
	cut := value[:min(len(value), maxSegmentBytes)]
	var names []string
	for name := range strings.SplitSeq(strings.ToValidUTF8(string(cut), "_"), "/") {
		name = strings.Map(fileRune, name)
		if name != "" && name != "." && name != ".." {
			names = append(names, g.short(name))
		}
	}
	segment := strings.Join(names, "/")
	if len(value) > maxSegmentBytes {
		segment += fmt.Sprintf("-%016x", hashOf(value))
	}
	return g.prefix + segment + g.suffix
}

// fileRune replaces what does not belong into the name of a file.
func fileRune(r rune) rune {
	if unicode.IsControl(r) || r == filepath.Separator || r == ':' && filepath.Separator == '\\' {
		return '_'
	}
	return r
}

// short cuts a name that is too long for a file, and adds a hash of it.
func (g *groups) short(name string) string {
	if len(name) <= maxNameBytes {
		return name
	}
	end := maxNameBytes
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return fmt.Sprintf("%s-%016x", name[:end], hashOf([]byte(name)))
}

// appendTo implements output.
func (g *groups) appendTo(path string, record []byte) error {
	f, err := g.file(path)
	if err != nil {
		return err
	}
	err = f.append(record)
	if err == nil && !f.buffered {
		err = f.flush()
	}
	if len(f.pending) == 0 && cap(f.pending) > maxKeptBytes {
		f.pending = nil
	}
	if err != nil && f.f == nil && len(f.pending) == 0 {
		g.forget(path) // its directory may be gone
	}
	if g.pending += len(record); g.pending > maxPendingBytes {
		err = errors.Join(err, g.flush())
	}
	return err
}

// file returns the open file at a path.
func (g *groups) file(path string) (*recordFile, error) {
	if at := g.open[path]; at != nil {
		g.recent.MoveToFront(at)
		return at.Value.(*recordFile), nil
	}
	for g.recent.Len() >= g.cfg.GroupBy.MaxOpenFiles {
		g.closeOldest()
	}
	if err := g.createDirectory(path); err != nil {
		return nil, err
	}
	cfg := g.cfg
	cfg.Path = path
	f := newRecordFile(cfg, g.log)
	known := maphash.String(g.seed, path)
	if _, again := g.seen[known]; again || len(g.seen) == maxSeenFiles {
		f.cont = true
	}
	if err := f.start(); err != nil {
		return nil, err
	}
	if len(g.seen) < maxSeenFiles {
		g.seen[known] = struct{}{}
	}
	g.open[path] = g.recent.PushFront(f)
	return f, nil
}

// closeOldest closes the file that has not been used for the longest time.
func (g *groups) closeOldest() {
	f := g.recent.Back().Value.(*recordFile)
	if err := f.close(); err != nil {
		g.log.Warn("closing a file that is not used any more failed", "path", f.path, "error", err)
	}
	g.forget(f.path)
}

func (g *groups) forget(path string) {
	g.recent.Remove(g.open[path])
	delete(g.open, path)
}

// flush writes the buffered records of all files. Those of a file for which that fails
// stay in its buffer.
func (g *groups) flush() error {
	g.pending = 0
	var errs []error
	for at := g.recent.Front(); at != nil; at = at.Next() {
		f := at.Value.(*recordFile)
		errs = append(errs, f.flush())
		g.pending += len(f.pending)
	}
	return errors.Join(errs...)
}

// close closes all files.
func (g *groups) close() error {
	var errs []error
	for g.recent.Len() > 0 {
		f := g.recent.Front().Value.(*recordFile)
		errs = append(errs, f.close())
		g.forget(f.path)
	}
	return errors.Join(errs...)
}
