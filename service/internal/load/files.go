package load

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
)

// checkFiles finds files that two components want to write: the second would
// empty, cut or interleave what the first was told is kept. The second is told.
// Links are not followed, since what they lead to may change.
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
	l.problems.Add(at.KeyErrorf("the file %s is written already by %s.%s (%s); expected a file of its own",
		f.Path, first.by.Path(), first.Key, first.Path))
}

// plainPath is the one name of a file of all that lead to it without links.
func plainPath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path) // without a working directory there is no better
}
