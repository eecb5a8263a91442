package fileexporter

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

// What is acknowledged is in a file that has a name, whatever other programs do to the
// one at the path.
func TestFileThatIsRenamed(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(path, aside string) error{
		"renamed": os.Rename,
		"replaced": func(path, aside string) error {
			return errors.Join(os.Rename(path, aside), os.WriteFile(path, nil, 0o600))
		},
		"linked": os.Link,
	} {
		cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
		cfg.Append = true
		e := started(t, cfg)
		const times = 5
		for i := range times {
			mustConsume(t, e, request(10, byte('a'+i)))
			if err := disturb(cfg.Path, fmt.Sprint(cfg.Path, i)); err != nil {
				t.Fatal(err)
			}
		}
		mustConsume(t, e, request(10, 'z'))
		all := contents(t, cfg.Path+"*")
		for i := range times {
			if !bytes.Contains(all, request(10, byte('a'+i))) {
				t.Errorf("%s: record %d is nowhere", name, i)
			}
		}
		if !bytes.Contains(contents(t, cfg.Path), request(10, 'z')) {
			t.Errorf("%s: the last record is not at the path", name)
		}
	}
}

// contents returns what is in all files of a pattern.
func contents(t *testing.T, pattern string) (all []byte) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// A file that is removed all the time loses nothing that was acknowledged after the
// last removal.
func TestFileThatIsRemoved(t *testing.T) {
	t.Parallel()
	cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
	cfg.Append = true
	e := started(t, cfg)
	var remover sync.WaitGroup
	stop := make(chan struct{})
	remover.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.Remove(cfg.Path)
			}
		}
	})
	for range 200 {
		// It is refused if the file goes each time that it is written.
		if err := consume(t, e, otlp.Traces, request(10, 'a')); err != nil && !strings.Contains(err.Error(), "removes the file each time") {
			t.Error(err)
		}
	}
	close(stop)
	remover.Wait()
	mustConsume(t, e, request(10, 'z'))
	if b, err := os.ReadFile(cfg.Path); err != nil || !bytes.Contains(b, request(10, 'z')) {
		t.Errorf("the last record is not at the path: %v", err)
	}
}

// Another program that truncates the file, as logrotate with copytruncate, does not
// break what follows.
func TestFileThatIsTruncated(t *testing.T) {
	t.Parallel()
	cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
	cfg.Append = true
	d := &disk{room: 1 << 20}
	e := started(t, cfg, func(e *Exporter) { d.seam(e) })
	mustConsume(t, e, request(1000, 'a'))
	if err := os.Truncate(cfg.Path, 0); err != nil {
		t.Fatal(err)
	}
	mustConsume(t, e, request(10, 'b'))
	whole, err := os.Stat(cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	d.room = 3 // the next record is torn, and cut
	if err := consume(t, e, otlp.Traces, request(10, 'c')); err == nil {
		t.Error("no error on a full disk")
	}
	if after, err := os.Stat(cfg.Path); err != nil || after.Size() != whole.Size() {
		t.Errorf("%d bytes after a failed write, %d before (%v)", after.Size(), whole.Size(), err)
	}
}

// Files are made with the permissions of the configuration.
func TestFilePermissions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]os.FileMode{"": 0o644, "0600": 0o600, "0640": 0o640} {
		cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
		cfg.FilePermissions = text
		started(t, cfg)
		info, err := os.Stat(cfg.Path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", text, info.Mode(), err)
		}
	}
	cfg := protoConfig("x")
	cfg.FilePermissions = "rw"
	if cfg.Validate() == nil {
		t.Error("no error for permissions that are not octal digits")
	}
}
