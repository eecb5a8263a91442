package service

import (
	"os"
	"path/filepath"
)

// checkFiles finds files that two components want to write: the second would
// empty, cut or interleave what the first was told is kept. The second is told.
// Links are not followed, since what they lead to may change.
func (l *loader) checkFiles() {
	writers := map[string]*definition{}
	for _, c := range l.cfg.components {
		if c.writes == "" || c.writes == os.DevNull {
			continue
		}
		path := plainPath(c.writes)
		first := writers[path]
		if first == nil {
			writers[path] = c
			continue
		}
		at := c.node
		if n := at.Get("path"); n != nil {
			at = n
		}
		l.problems.Add(at.KeyErrorf("the file %s is written already by %s.path (%s); expected a file of its own",
			c.writes, first.node.Path(), first.writes))
	}
}

// plainPath is the one name of a file of all that lead to it without links.
func plainPath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path) // without a working directory there is no better
}
