// Package filewatch reports that files have changed: written in place, replaced by a
// rename, or reached through a link that was changed, as Kubernetes changes ..data.
//
// The directories are watched, not the files, since a watch of a file ends with the file.
package filewatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing must happen to the files before a change is reported.
	quiet = 200 * time.Millisecond
	// longest is how long a change waits for that at most, and for a missing file to exist
	// again.
	longest = 2 * time.Second
	// maxRounds bounds how often a change is reported because there are new files to watch.
	maxRounds = 5
)

// Watcher watches files between New and Close. It is used by one goroutine.
type Watcher struct {
	fs    *fsnotify.Watcher
	files []string
	names map[string]bool        // absolute: files, and links on the way to them
	dirs  map[string]os.FileInfo // the directories watched, as they were just before
}

// New starts to watch files, which need not exist.
func New(files []string) (*Watcher, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	w := &Watcher{fs: fs}
	if _, err := w.set(files); err != nil {
		return nil, errors.Join(err, fs.Close())
	}
	return w, nil
}

// Close ends the watch.
func (w *Watcher) Close() error { return w.fs.Close() }

// Run calls changed after changes of the files, until ctx ends. changed returns the files
// to watch from then on. report gets errors; the watch goes on, as far as possible.
func (w *Watcher) Run(ctx context.Context, changed func() []string, report func(error)) {
	var first time.Time // of the changes that are not reported yet; zero: there are none
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.fs.Events:
			if !ok {
				return
			}
			if !w.concerns(e) {
				continue
			}
		case err, ok := <-w.fs.Errors:
			if !ok {
				return
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // else any file may have changed
				report(fmt.Errorf("watch files: %w", err))
			}
		case now := <-timer.C:
			if w.missing() && now.Sub(first) < longest {
				timer.Reset(quiet)
				continue
			}
			first = time.Time{}
			w.tell(changed, report)
			continue
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		timer.Reset(min(quiet, max(longest-now.Sub(first), 0)))
	}
}

// tell calls changed, and again if something else is watched by then: what happened to it
// before is not known.
func (w *Watcher) tell(changed func() []string, report func(error)) {
	for range maxRounds {
		more, err := w.set(changed())
		if err != nil {
			report(err)
		}
		if !more {
			return
		}
	}
}

// concerns reports whether an event is about one of the names, or a directory that is not
// watched any more.
func (w *Watcher) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	name := filepath.Clean(e.Name)
	if w.names[name] {
		return true
	}
	gone := e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)
	return gone && slices.ContainsFunc(w.files, func(f string) bool { return filepath.Dir(f) == name })
}

// missing reports whether one of the files is not there.
func (w *Watcher) missing() bool {
	return slices.ContainsFunc(w.files, func(f string) bool {
		_, err := os.Stat(f)
		return errors.Is(err, os.ErrNotExist)
	})
}

// set watches other files, and reports whether there are names or directories that were
// not watched.
func (w *Watcher) set(files []string) (more bool, err error) {
	for range maxRounds {
		var found bool
		found, err = w.trySet(files)
		more = more || found
		if !errors.Is(err, os.ErrNotExist) { // else a directory was removed since it was found
			break
		}
	}
	return more, err
}

func (w *Watcher) trySet(files []string) (more bool, err error) {
	names, dirs := map[string]bool{}, map[string]bool{}
	w.files = nil
	for _, f := range files {
		abs, err := filepath.Abs(f)
		if err != nil {
			return false, fmt.Errorf("watch %s: %w", f, err)
		}
		w.files = append(w.files, abs)
		for _, name := range trail(abs) {
			names[name], dirs[filepath.Dir(name)] = true, true
			more = more || !w.names[name]
		}
	}
	w.names = names
	added, err := w.watch(dirs)
	return more || added, err
}

// watch watches these directories and no others, and reports whether one was not watched.
// One that was replaced by another of its name was not, whatever the watch list says: an
// event of the old one may still be to come.
func (w *Watcher) watch(dirs map[string]bool) (added bool, err error) {
	watched := w.fs.WatchList()
	for _, dir := range watched {
		if !dirs[dir] {
			_ = w.fs.Remove(dir) // it may have ended by itself
		}
	}
	before := w.dirs
	w.dirs = make(map[string]os.FileInfo, len(dirs))
	var errs []error
	for dir := range dirs {
		info, err := os.Stat(dir) // before the watch, so that one replaced in between is noticed the next time
		old := before[dir]
		if err == nil && old != nil && os.SameFile(old, info) && slices.Contains(watched, dir) {
			w.dirs[dir] = old
			continue
		}
		if old != nil {
			_ = w.fs.Remove(dir)
		}
		if err == nil {
			err = w.fs.Add(dir)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("watch %s: %w", dir, err))
			continue
		}
		w.dirs[dir], added = info, true
	}
	return added, errors.Join(errs...)
}

// maxLinks is how many links are followed.
const maxLinks = 40

// trail returns the names that decide what is read at an absolute path: the links on the
// way, and the file. It ends at what does not exist.
func trail(path string) (names []string) {
	at, rest := root(path)
	for links := 0; len(rest) > 0; {
		name := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(name)
		if err != nil {
			return append(names, name)
		}
		target := ""
		if info.Mode()&os.ModeSymlink != 0 {
			target, err = os.Readlink(name)
		}
		switch {
		case err != nil || target != "" && links == maxLinks:
			return append(names, name)
		case target == "":
			at = name
			if len(rest) == 0 {
				names = append(names, name)
			}
		default:
			links++
			names = append(names, name)
			parts := split(target)
			if filepath.IsAbs(target) {
				at, parts = root(target)
			}
			rest = append(slices.Clip(parts), rest...)
		}
	}
	return names
}

// root divides an absolute path into its root and the rest.
func root(path string) (at string, rest []string) {
	at = filepath.VolumeName(path) + string(filepath.Separator)
	return at, split(path[len(at):])
}

func split(path string) (parts []string) {
	for path != "" {
		first, rest := path, ""
		for i := range path {
			if os.IsPathSeparator(path[i]) {
				first, rest = path[:i], path[i+1:]
				break
			}
		}
		if first != "" && first != "." {
			parts = append(parts, first)
		}
		path = rest
	}
	return parts
}
