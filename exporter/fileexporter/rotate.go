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

// backupTime is the time in a full file's name, as lumberjack has it:
// name-2006-01-02T15-04-05.000.ext
const backupTime = "2006-01-02T15-04-05.000"

// rotate puts the file aside and begins a new one. If that fails half way the
// next write opens what is there.
func (r *recordFile) rotate() error {
	if _, err := r.putAside(); err != nil {
		return err
	}
	if err := r.reopen(false); err != nil {
		return err
	}
	r.prune()
	return nil
}

// putAside closes the file and gives it a backup's name.
func (r *recordFile) putAside() (backup string, err error) {
	if err := r.letGo(); err != nil {
		return "", err
	}
	if backup, err = r.freeName(); err == nil {
		err = os.Rename(r.path, backup)
	}
	if err != nil {
		return "", fmt.Errorf("putting %s aside: %w", r.path, err)
	}
	return backup, nil
}

// freeName returns the backup's name for now. Files put aside in the same
// millisecond follow each other a millisecond apart: none overwrites another.
func (r *recordFile) freeName() (string, error) {
	base, ext := r.nameParts()
	for t := r.now(); ; t = t.Add(time.Millisecond) {
		name := filepath.Join(filepath.Dir(r.path), base+t.In(r.zone()).Format(backupTime)+ext)
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
}

// nameParts returns what stands before and behind the time in a backup's name.
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

// prune deletes backups that are too many or too old. It only reports what goes
// wrong: too many backups are no reason to refuse a record.
func (r *recordFile) prune() {
	if r.rotation == nil || !r.regular || r.rotation.MaxBackups == 0 && r.rotation.MaxDays == 0 {
		return
	}
	backups, err := r.backups()
	if err != nil {
		r.log.Warn("old files cannot be listed, so none is deleted", "path", r.path, "error", err)
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
			r.log.Warn("an old file cannot be deleted", "error", err)
		}
	}
}

// backups lists the full files, the newest first. Files with other names are
// another program's.
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
