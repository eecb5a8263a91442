package control

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// letters makes dead letters of some pipelines in a storage, three of each.
func letters(t *testing.T, storage string, pipelines ...string) map[string]*delivery.DeadLetters {
	t.Helper()
	all := map[string]*delivery.DeadLetters{}
	for _, p := range pipelines {
		d, err := delivery.OpenDeadLetters(filepath.Join(DeadLetters(storage), FileName(p)), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		for _, text := range []string{"one", "two", "three"} {
			refusal := &pipeline.Error{Kind: pipeline.Permanent, Code: uint32(codes.InvalidArgument), Err: errors.New("no\nway \x1b[31m é")}
			if err := d.Add(t.Context(), delivery.DeadLetter{Destination: "traces/otlp", Record: []byte(p + text), Items: 5, Err: refusal}); err != nil {
				t.Fatal(err)
			}
		}
		all[p] = d
	}
	return all
}

func serve(t *testing.T, storage string, of map[string]*delivery.DeadLetters) *Server {
	t.Helper()
	s, err := Listen(storage, of, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	return s
}

func open(t *testing.T, storage string) *Storage {
	t.Helper()
	s, err := Open(storage, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Letters of another process are the same as those that are opened here.
func TestOverTheSocket(t *testing.T) {
	storage := t.TempDir()
	const name = "traces/2 ü%"
	here := letters(t, storage, name, "logs")
	serve(t, storage, here)
	there := open(t, storage).Letters
	if len(there) != 2 {
		t.Fatalf("%d pipelines", len(there))
	}
	if _, ok := there[name].(remote); !ok {
		t.Fatalf("the letters are %T", there[name])
	}
	want, err := local{name, here[name]}.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := there[name].List(t.Context())
	if diff := cmp.Diff(want, got); diff != "" || err != nil || len(want) != 3 {
		t.Fatalf("%v, letters (-here +over the socket):\n%s", err, diff)
	}
	letter, record, err := there[name].Get(t.Context(), want[1].ID.Sequence)
	if err != nil || letter != want[1] || string(record) != name+"two" {
		t.Errorf("%+v, %q, %v", letter, record, err)
	}
	if err := there[name].Drop(t.Context(), want[1].ID.Sequence); err != nil {
		t.Error(err)
	}
	if _, _, err := there[name].Get(t.Context(), want[1].ID.Sequence); err == nil || !strings.Contains(err.Error(), delivery.ErrNoLetter.Error()) {
		t.Errorf("get a dropped one: %v", err)
	}
	if n, err := there[name].DropAll(t.Context()); n != 2 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	if got, err := there[name].List(t.Context()); len(got) != 0 || err != nil {
		t.Errorf("%d are left, %v", len(got), err)
	}
	if n := here["logs"].Held().Records; n != 3 {
		t.Errorf("of another pipeline %d are left", n)
	}
}

// While no process has the letters, they are opened; those of pipelines that the running
// process does not have, too.
func TestOpenedHere(t *testing.T) {
	storage := t.TempDir()
	for _, d := range letters(t, storage, "gone") {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	serve(t, storage, letters(t, storage, "logs"))
	for pipeline, l := range open(t, storage).Letters {
		list, err := l.List(t.Context())
		if err != nil || len(list) != 3 {
			t.Errorf("%s: %d letters, %v", pipeline, len(list), err)
		}
	}
}

// The socket is for its owner only, replaces that of a killed process, and is removed at
// the end.
func TestSocket(t *testing.T) {
	storage := t.TempDir()
	of := letters(t, storage, "logs")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(Folder(storage), socketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := errors.Join(stale.Close(), os.WriteFile(filepath.Join(Folder(storage), freshName), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s := serve(t, storage, of)
	info, err := os.Stat(s.socket)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(Folder(storage)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	if _, err := open(t, storage).Letters["logs"].List(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for _, name := range []string{socketName, freshName} {
		if _, err := os.Lstat(filepath.Join(Folder(storage), name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s after Shutdown: %v", name, err)
		}
	}
}

// A storage can have a longer path than a socket.
func TestLongPath(t *testing.T) {
	storage := filepath.Join(t.TempDir(), strings.Repeat("long", 50))
	of := letters(t, storage, "logs")
	if _, err := os.Stat(descriptors); err == nil {
		serve(t, storage, of)
		if list, err := open(t, storage).Letters["logs"].List(t.Context()); len(list) != 3 || err != nil {
			t.Errorf("%d letters, %v", len(list), err)
		}
	}
	defer func(was string) { descriptors = was }(descriptors)
	descriptors = "/not/there"
	if _, err := Listen(storage, of, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrLongPath) {
		t.Errorf("without %s: %v", "/proc", err)
	}
}

// What cannot be reached says why, and what to do.
func TestErrors(t *testing.T) {
	storage := t.TempDir()
	if _, err := Open(storage, nil); err == nil || !strings.Contains(err.Error(), "expected the directory of a file_storage") {
		t.Errorf("a folder of something else: %v", err)
	}
	if list, err := os.ReadDir(storage); len(list) != 0 || err != nil {
		t.Errorf("Open has made %v, %v", list, err)
	}
	of := letters(t, storage, "logs", "traces")
	there := open(t, storage).Letters["logs"]
	_, err := there.List(t.Context())
	for _, want := range []string{"by process", "control.sock does not answer", "stop that process"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without a socket: %v, want %q", err, want)
		}
	}
	delete(of, "logs")
	serve(t, storage, of)
	if _, err := there.List(t.Context()); err == nil || !strings.Contains(err.Error(), `no queue of pipeline "logs"`) {
		t.Errorf("a pipeline that the process does not have: %v", err)
	}
}

// Requests that are not understood change nothing.
func TestBadRequests(t *testing.T) {
	storage := t.TempDir()
	of := letters(t, storage, "logs")
	serve(t, storage, of)
	l := remote{"logs", connect(storage), "", errors.New("locked")}
	defer l.http.CloseIdleConnections()
	for _, body := range []any{"x", 5, map[string]any{}, Drop{Pipeline: "logs"}, Drop{Pipeline: "logs", All: true, Sequences: []uint64{1}},
		Drop{Pipeline: "logs", Sequences: []uint64{1, 99}}, Drop{Pipeline: "other", All: true}, map[string]any{"pipeline": "logs", "all": true, "dry": true}} {
		if err := l.call(t.Context(), "POST", "/dead-letters/drop", body, &Dropped{}); err == nil {
			t.Errorf("%+v is accepted", body)
		}
	}
	for _, path := range []string{"/", "/dead-letters/logs/x", "/dead-letters/logs/99", "/dead-letters/other/1", "/dead-letters/logs/99/record"} {
		var answer json.RawMessage
		if err := l.call(t.Context(), "GET", path, nil, &answer); err == nil {
			t.Errorf("%s is answered", path)
		}
	}
	if n := of["logs"].Held().Records; n != 3 {
		t.Errorf("%d letters are left", n)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("traces/2/17")
	f.Add("/1")
	f.Add("17")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseID(text)
		if err != nil {
			return
		}
		if again, err := ParseID(id.String()); again != id || err != nil {
			t.Errorf("%q is read as %+v, and that as %+v, %v", text, id, again, err)
		}
	})
}
