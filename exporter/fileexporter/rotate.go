package fileexporter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// backupTime is the time in the name of a full file, as in lumberjack:
// name-2006-01-02T15-04-05.000.ext
const backupTime = "2006-01-02T15-04-05.000"

// otherSuffix ends the name of a file that was renamed because of its format. Such a
// file is not counted among the full ones, and never deleted.
const otherSuffix = ".other"

// rotate renames the file to a backup and creates a new one. If that fails, the
// next write opens the file that exists.
func (r *recordFile) rotate() error {
	if _, err := r.putAside(""); err != nil {
		return err
	}
	if err := r.reopen(false); err != nil {
		return err
	}
	r.prune()
	return nil
}

// putAside closes the file and renames it to a backup, with suffix after its name.
func (r *recordFile) putAside(suffix string) (backup string, err error) {
	if err := r.closeFile(); err != nil {
		return "", err
	}
	if backup, err = r.freeName(suffix); err == nil {
		err = os.Rename(r.path, backup)
	}
	if err != nil {
		return "", fmt.Errorf("rename %s to a backup: %w", r.path, err)
	}
	return backup, nil
}

// freeName returns the name for a backup at this time. Backups of the same
// millisecond get times a millisecond apart, so that none overwrites another.
func (r *recordFile) freeName(suffix string) (string, error) {
	base, ext := r.nameParts()
	for t := r.now(); ; t = t.Add(time.Millisecond) {
		name := filepath.Join(filepath.Dir(r.path), base+t.In(r.zone()).Format(backupTime)+ext+suffix)
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
}

// nameParts returns the parts of a backup's name before and after the time.
func (r *recordFile) nameParts() (prefix, ext string) {
	name := filepath.Base(r.path)
	ext = filepath.Ext(name)
	return strings.TrimSuffix(name, ext) + "-", ext
}

func (r *recordFile) zone() *time.Location {
	if r.rotation != nil && r.rotation.LocalTime {
		return time.Local
	}
	return time.UTC
}

// backup is a full file.
type backup struct {
	path string
	time time.Time
}

// prune deletes excess and old backups. It only logs errors: a record is not
// refused because of them.
func (r *recordFile) prune() {
	if r.rotation == nil || !r.regular || r.rotation.MaxBackups == 0 && r.rotation.MaxDays == 0 {
		return
	}
	backups, err := r.backups()
	if err != nil {
		r.log.Warn("listing old files failed; none is deleted", "path", r.path, "error", err)
		return
	}
	keep, oldest := len(backups), time.Time{}
	if r.rotation.MaxBackups > 0 {
		keep = r.rotation.MaxBackups
	}
	if r.rotation.MaxDays > 0 {
		oldest = r.now().Add(-time.Duration(r.rotation.MaxDays) * 24 * time.Hour)
	}
	for i, b := range backups {
		if i < keep && !b.time.Before(oldest) {
			continue
		}
		if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.log.Warn("deleting an old file failed", "error", err)
		}
	}
}

// backups lists the full files, the newest first. Files with other names are
// ignored.
func (r *recordFile) backups() ([]backup, error) {
	dir := filepath.Dir(r.path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	prefix, ext := r.nameParts()
	var out []backup
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || !e.Type().IsRegular() {
			continue
		}
		if text, ok = strings.CutSuffix(text, ext); !ok {
			continue
		}
		if t, err := time.ParseInLocation(backupTime, text, r.zone()); err == nil {
			out = append(out, backup{filepath.Join(dir, e.Name()), t})
		}
	}
	slices.SortFunc(out, func(a, b backup) int { return b.time.Compare(a.time) })
	return out, nil
}
