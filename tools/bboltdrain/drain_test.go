package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"go.opentelemetry.io/collector/pdata/plog"

	_ "google.golang.org/grpc/encoding/gzip" // for the backend

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/extension/filestorageextension"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

func drained(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = run(t.Context(), args, &out, io.Discard)
	return out.String(), err
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}

// What the Collector's own code has queued and not delivered arrives, those included that
// were being sent; the files do not change.
func TestQueueOfTheCollector(t *testing.T) {
	c := newCollector(t)
	traces, metrics, logs := c.fill(9)
	before := contents(t, c.directory)
	const list = "exporter_otlp__logs: 9 requests, 9 items in the queue\n" +
		"exporter_otlp__metrics: 9 requests, 9 items in the queue\n" +
		"exporter_otlp__traces: 9 requests, 9 items in the queue\n"
	if got, err := drained(t, c.directory); err != nil || got != list {
		t.Errorf("%v, printed\n%s", err, got)
	}
	for _, over := range []func(*testkit.Backend) string{(*testkit.Backend).GRPCEndpoint, (*testkit.Backend).HTTPEndpoint} {
		backend := testkit.NewBackend(t, testkit.BackendConfig{})
		backend.Script(testkit.Answer{}, testkit.Answer{Code: 14}) // the second is sent again
		got, err := drained(t, "--to", over(backend), c.directory)
		if err != nil || !strings.Contains(got, "is sent again") || !strings.HasSuffix(got, "exporter_otlp__traces: 9 requests, 9 items sent\n") {
			t.Errorf("%v, printed\n%s", err, got)
		}
		for s, want := range map[otlp.Signal][][]byte{otlp.Traces: traces, otlp.Metrics: metrics, otlp.Logs: logs} {
			sameRequests(t, backend.Requests(s), want)
		}
	}
	checkReport(t, c.directory)
	for name, content := range contents(t, c.directory) {
		if content != before[name] {
			t.Errorf("%s has changed", name)
		}
	}
}

// checkReport checks that penstock's file_storage reports the files.
func checkReport(t *testing.T, dir string) {
	t.Helper()
	var log testkit.Log
	cfg := filestorageextension.DefaultConfig()
	cfg.Directory = dir
	e, err := filestorageextension.New(cfg, component.Settings{Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Start(t.Context()), e.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	for name, content := range contents(t, dir) {
		if want := fmt.Sprintf("%s (%d bytes, 9 requests)", name, len(content)); !strings.Contains(log.String(), want) {
			t.Errorf("%s is missing in %s", want, log.String())
		}
	}
}

func sameRequests(t *testing.T, got, want [][]byte) {
	t.Helper()
	sorted := func(list [][]byte) [][]byte {
		list = slices.Clone(list)
		slices.SortFunc(list, bytes.Compare)
		return list
	}
	if !slices.EqualFunc(sorted(got), sorted(want), bytes.Equal) {
		t.Errorf("%d requests arrived, want %d, or they differ", len(got), len(want))
	}
}

func index(n ...uint64) []byte {
	var b []byte
	for _, v := range n {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func request(text string) []byte {
	data := plog.NewLogs()
	data.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(text)
	b, err := (&plog.ProtoMarshaler{}).MarshalLogs(data)
	if err != nil {
		panic(err)
	}
	return b
}

// queueFile writes a file like the Collector's storage.
func queueFile(t *testing.T, items map[string][]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "exporter_otlp_b_logs")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(bucketName)
		for k, v := range items {
			err = errors.Join(err, b.Put([]byte(k), v))
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// A queue of an older Collector: requests without a context, three keys of metadata. 3 and
// 11 were being sent, 20 and 21 wait, 5 was delivered, and 22 is missing.
func TestOlderQueue(t *testing.T) {
	items := map[string][]byte{
		"ri": index(20), "wi": index(23), "di": append([]byte{2, 0, 0, 0}, index(3, 11)...),
	}
	for _, i := range []int{3, 5, 11, 20, 21} {
		items[fmt.Sprint(i)] = request(fmt.Sprint(i))
	}
	path := queueFile(t, items)
	for _, c := range []struct {
		args []string
		want []int
		line string
	}{
		{nil, []int{3, 11, 20, 21}, "4 requests, 4 items sent; 1 more that the queue no longer refers to (--all); 1 that the queue refers to are missing"},
		{[]string{"--all"}, []int{3, 5, 11, 20, 21}, "5 requests, 5 items sent; 1 that the queue refers to are missing"},
		{[]string{"--from", "20"}, []int{20, 21}, "2 requests, 2 items sent; 1 more"},
	} {
		backend := testkit.NewBackend(t, testkit.BackendConfig{})
		got, err := drained(t, append(c.args, "--to", backend.GRPCEndpoint(), path)...)
		if err != nil || !strings.HasPrefix(got, "exporter_otlp_b_logs: "+c.line) {
			t.Errorf("%v: %v, printed %s", c.args, err, got)
		}
		var want [][]byte
		for _, i := range c.want {
			want = append(want, request(fmt.Sprint(i)))
		}
		if got := backend.Requests(otlp.Logs); !slices.EqualFunc(got, want, bytes.Equal) { // in their order
			t.Errorf("%v: %d requests arrived, want %d, or they differ", c.args, len(got), len(want))
		}
	}
}

// What is refused or not valid is named and counted, and the others are sent.
func TestRefusedRequests(t *testing.T) {
	path := queueFile(t, map[string][]byte{
		"ri": index(0), "wi": index(4), "0": request("a"), "1": {0xff}, "2": request("c"), "3": {0x0d, 1, 0, 0, 0, 0xff},
	})
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	backend.Script(testkit.Answer{Code: 3})
	got, err := drained(t, "--to", backend.GRPCEndpoint(), path)
	if err == nil || !strings.HasSuffix(err.Error(), "3 of 4 requests were not accepted") {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"request 0 was refused: ", "request 1 is not valid: ", "request 3 is not valid: ", "4 requests, 1 items sent, 3 requests refused"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestInterrupted(t *testing.T) {
	path := queueFile(t, map[string][]byte{"ri": index(7), "wi": index(9), "7": request("a"), "8": request("b")})
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	backend.Respond(func(testkit.Call) testkit.Answer {
		cancel()
		return testkit.Answer{Code: 14}
	})
	err := run(ctx, []string{"--to", backend.GRPCEndpoint(), path}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "interrupted; --from 7 continues this file") {
		t.Errorf("got %v", err)
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text_logs")
	if err := os.WriteFile(text, []byte(strings.Repeat("text ", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	held := queueFile(t, nil)
	db, err := bbolt.Open(held, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other := queueFile(t, map[string][]byte{"ri": index(0), "wi": index(1), "0": request("a")})
	named := filepath.Join(dir, "9f86d081884c7d65")
	if err := os.Rename(other, named); err != nil {
		t.Fatal(err)
	}
	damaged := queueFile(t, map[string][]byte{"di": {9, 0, 0, 0}})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{text}, "drain " + text + ": "},
		{[]string{held}, "another process uses the file; stop the Collector first"},
		{[]string{named}, "or --signal"},
		{[]string{"--signal", "x", named}, `the signal "x" is unknown`},
		{[]string{damaged}, "expected 9, found 0 bytes"},
		{[]string{dir}, "expected files such as exporter_otlp__traces, found none"},
		{[]string{"--from", "3", named, named}, "--from: expected one file, found 2"},
		{[]string{filepath.Join(dir, "none")}, "no such file"},
	} {
		if _, err := drained(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %s", c.args, err, c.want)
		}
	}
	for _, args := range [][]string{nil, {"--wrong"}, {"--header", "x", named}} {
		if _, err := drained(t, args...); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%v: got %v", args, err)
		}
	}
	if got, err := drained(t, "--signal", "logs", named); err != nil || !strings.Contains(got, "1 requests, 1 items in the queue") {
		t.Errorf("%v, %s", err, got)
	}
}

// Damage is an error, or is not noticed, and never ends the program.
func TestDamagedFile(t *testing.T) {
	path := queueFile(t, map[string][]byte{"ri": index(0), "wi": index(2), "0": request("a"), "1": request(strings.Repeat("b", 9000))})
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for at := 0; at < len(good); at += 61 {
		bad := bytes.Clone(good)
		for i := at; i < min(at+8, len(bad)); i++ {
			bad[i] ^= 0xff
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := drained(t, path); err != nil {
			failed++
		}
	}
	for _, size := range []int{0, 100, 4096, 8192, len(good) / 2} {
		if err := os.WriteFile(path, good[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := drained(t, path); err != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("no damage was noticed")
	}
}

func FuzzItem(f *testing.F) {
	f.Add([]byte{0x0d, 1, 0, 0, 0, 0x1a, 2, 0x0a, 0})
	f.Add(request("a"))
	f.Fuzz(func(t *testing.T, item []byte) {
		if body, err := unwrap(item); err == nil && len(body) > len(item) {
			t.Error("the request is larger than the item")
		}
		var m metadata
		_ = m.parse(item) // must not panic
	})
}
