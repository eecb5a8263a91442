package filewatch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// watched is a watcher that runs, of one file.
type watched struct {
	path  string
	texts chan string // what the file had at each change
}

func watch(t *testing.T, path string) *watched {
	t.Helper()
	return watchWith(t, path, func(string) error { return nil })
}

// watchWith is watch, with what happens after the file is read.
func watchWith(t *testing.T, path string, after func(text string) error) *watched {
	t.Helper()
	files := []string{path}
	w, err := New(files)
	must(t, err)
	f := &watched{path, make(chan string, 100)}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, func() []string {
			text, err := os.ReadFile(path)
			if err != nil {
				text = []byte("none")
			}
			if err := after(string(text)); err != nil {
				t.Error(err)
			}
			f.texts <- string(text)
			return files
		}, func(err error) { t.Error(err) })
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		must(t, w.Close())
	})
	return f
}

// await waits until the file was reported with a text.
func (f *watched) await(t *testing.T, want string) {
	t.Helper()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	for {
		select {
		case text := <-f.texts:
			if text == want {
				return
			}
		case <-late.C:
			t.Fatalf("no change to %q was reported", want)
		}
	}
}

func TestWrittenInPlaceAndRenamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	write(t, path, "1")
	f := watch(t, path)
	write(t, path, "2")
	f.await(t, "2")
	for _, text := range []string{"3", "4"} { // as editors save, twice
		write(t, path+"~", text)
		must(t, os.Rename(path+"~", path))
		f.await(t, text)
	}
	write(t, path, "5")
	f.await(t, "5")
	must(t, os.Remove(path))
	f.await(t, "none")
	write(t, path, "6")
	f.await(t, "6")
}

// A file that is gone for a moment is not reported as gone.
func TestGoneForAMoment(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.yaml")
	write(t, path, "1")
	f := watch(t, path)
	must(t, os.Remove(path))
	time.AfterFunc(2*quiet, func() { _ = os.WriteFile(path, []byte("2"), 0o644) })
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	select {
	case text := <-f.texts:
		if text != "2" && text != "" { // opened, and not written yet
			t.Errorf("reported %q", text)
		}
	case <-late.C:
		t.Fatal("no change was reported")
	}
}

// Kubernetes changes all files of a volume by one link.
func TestLinkOfADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := func(name, text string) {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		write(t, filepath.Join(dir, name, "a.yaml"), text)
		must(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")), os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	version("..1", "1")
	path := filepath.Join(dir, "a.yaml")
	must(t, os.Symlink(filepath.Join("..data", "a.yaml"), path))
	f := watch(t, path)
	version("..2", "2")
	must(t, os.RemoveAll(filepath.Join(dir, "..1")))
	f.await(t, "2")
	version("..3", "3")
	f.await(t, "3")
}

// A directory that appears, and one that is replaced, are watched.
func TestDirectories(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sub")
	path := filepath.Join(dir, "a.yaml")
	f := watch(t, path)
	for _, text := range []string{"1", "2"} {
		must(t, os.Mkdir(dir, 0o755))
		write(t, path, text)
		f.await(t, text)
		must(t, os.Rename(dir, dir+text))
		f.await(t, "none")
	}
}

// A directory that is created again just after its file was found missing is watched, and
// the file read again.
func TestDirectoryCreatedWhileReported(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sub")
	path := filepath.Join(dir, "a.yaml")
	must(t, os.Mkdir(dir, 0o755))
	write(t, path, "1")
	created := false
	f := watchWith(t, path, func(text string) error {
		if text != "none" || created {
			return nil
		}
		created = true
		return errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(path, []byte("2"), 0o644))
	})
	must(t, os.Rename(dir, dir+".old"))
	f.await(t, "2")
	write(t, path, "3")
	f.await(t, "3")
}

// Other files in the directory, such as the program's log, are not reported.
func TestOtherFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	write(t, path, "1")
	f := watch(t, path)
	for range 3 {
		write(t, filepath.Join(dir, "penstock.log"), "x")
	}
	must(t, os.Chmod(path, 0o600))
	time.Sleep(2 * quiet) // a report would come after quiet
	select {
	case text := <-f.texts:
		t.Errorf("reported %q", text)
	default:
	}
	write(t, path, "2")
	f.await(t, "2")
}

func TestTrail(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	in := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	must(t, os.Mkdir(in("real"), 0o755), os.Symlink("real", in("link")), os.Symlink("../back", in("real", "up")),
		os.Symlink("loop", in("loop")), os.Symlink(in("real"), in("absolute")))
	write(t, in("real", "f"), "")
	for _, c := range []struct{ path, want []string }{
		{[]string{"real", "f"}, []string{in("real", "f")}},
		{[]string{"link", "f"}, []string{in("link"), in("real", "f")}},
		{[]string{"absolute", "f"}, []string{in("absolute"), in("real", "f")}},
		{[]string{"real", "up"}, []string{in("real", "up"), in("back")}},
		{[]string{"none", "deeper", "f"}, []string{in("none")}},
	} {
		if got := trail(in(c.path...)); !slices.Equal(got, c.want) {
			t.Errorf("%v: got %q, want %q", c.path, got, c.want)
		}
	}
	if got := trail(in("loop")); len(got) != maxLinks+1 {
		t.Errorf("a loop has %d names", len(got))
	}
}
