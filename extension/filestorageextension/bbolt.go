package filestorageextension

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// The Collector's extension writes a file of bbolt for each component: exporter_otlp__traces
// is the queue of the exporter otlp for traces, receiver_filelog_ has offsets in files.

// maxReported is the number of files that the log names.
const maxReported = 50

// report logs the files of the Collector.
func (e *Extension) report() {
	found, err := findBbolt(e.cfg.Directory)
	if err != nil {
		e.log.Warn("looking for the Collector's files failed", "directory", e.cfg.Directory, "error", err)
	}
	if len(found) == 0 {
		return
	}
	var names []string
	total := int64(0)
	for _, f := range found {
		total += f.size
		if len(names) < maxReported {
			names = append(names, f.String())
		}
	}
	e.log.Warn("the directory has files of the Collector's file_storage, which may hold data that it has not delivered; they are not changed and never deleted; tools/bboltdrain sends what is in them",
		"directory", e.cfg.Directory, "files", len(found), "bytes", total, "names", names)
}

// bboltFile is a file of bbolt.
type bboltFile struct {
	name string
	size int64
	// requests is the number of those that were not delivered; -1 means that it is
	// unknown, or that the file is not a queue.
	requests int64
}

func (f bboltFile) String() string {
	if f.requests < 0 {
		return fmt.Sprintf("%s (%d bytes)", f.name, f.size)
	}
	return fmt.Sprintf("%s (%d bytes, %d requests)", f.name, f.size, f.requests)
}

// findBbolt returns the files of bbolt in a directory, by name. It opens files for
// reading, and takes no locks.
func findBbolt(dir string) (found []bboltFile, err error) {
	entries, err := os.ReadDir(dir)
	var errs []error
	if err != nil {
		errs = append(errs, err)
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue // to open a pipe would block
		}
		file, ok, err := readBbolt(filepath.Join(dir, entry.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		if ok {
			found = append(found, file)
		}
	}
	return found, errors.Join(errs...)
}

// bboltPages are the offsets at which one of the two meta pages can be: page 0, and page 1
// for the sizes of pages that systems have.
var bboltPages = []int64{0, 4 << 10, 8 << 10, 16 << 10, 64 << 10}

// readBbolt reports whether a file is one of bbolt.
func readBbolt(path string) (file bboltFile, ok bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return file, false, err
	}
	defer f.Close() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return file, false, err
	}
	for _, at := range bboltPages {
		meta, err := isMeta(f, at)
		if err != nil {
			return file, false, fmt.Errorf("read %s: %w", path, err)
		}
		if meta {
			return bboltFile{filepath.Base(path), info.Size(), requestsIn(f)}, true, nil
		}
	}
	return file, false, nil
}

// requestsIn returns bboltFile.requests.
func requestsIn(f io.ReaderAt) int64 {
	n, err := queueSize(f)
	if err != nil || n > 1<<62 {
		return -1
	}
	return int64(n)
}

const bboltMagic = 0xED0CDAED

// isMeta reports whether a meta page begins at an offset: after the header of 16 bytes the
// magic number, in the byte order of the machine.
func isMeta(f io.ReaderAt, at int64) (bool, error) {
	var b [4]byte
	if _, err := f.ReadAt(b[:], at+pageHeader); errors.Is(err, io.EOF) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	orders := []binary.ByteOrder{binary.LittleEndian, binary.BigEndian}
	return slices.ContainsFunc(orders, func(o binary.ByteOrder) bool { return o.Uint32(b[:]) == bboltMagic }), nil
}
