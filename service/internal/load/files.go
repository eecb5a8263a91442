package load

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
)

// checkFiles finds files that two components want to write: the second would
// truncate or interleave data that the first has acknowledged. The error is
// reported at the second. Links are not followed, since their targets may
// change.
func (l *loader) checkFiles() {
	writers := map[string]writtenFile{}
	for _, c := range l.cfg.Components {
		writes, ok := c.Config.(component.Writer)
		if !ok || c.broken {
			continue
		}
		for _, f := range writes.Writes() {
			l.checkFile(writers, c, f)
		}
	}
}

// writtenFile is a file with the component that writes it.
type writtenFile struct {
	by *Component
	component.File
}

func (l *loader) checkFile(writers map[string]writtenFile, c *Component, f component.File) {
	if f.Path == "" || f.Path == os.DevNull {
		return
	}
	path := plainPath(f.Path)
	first, taken := writers[path]
	if !taken {
		writers[path] = writtenFile{c, f}
		return
	}
	at, _ := nearest(c.node, strings.Split(f.Key, ".")...)
	l.problems.Add(at.KeyErrorf("the file %s is already written by %s.%s (%s); expected a file of its own",
		f.Path, first.by.Path(), first.Key, first.Path))
}

// plainPath returns the same text for every path that names the same file
// without links.
func plainPath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path) // the working directory is unknown
}
