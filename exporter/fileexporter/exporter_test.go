package fileexporter

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var (
	_ pipeline.Consumer  = (*Exporter)(nil)
	_ pipeline.Component = (*Exporter)(nil)
	_ pipeline.Named     = (*Exporter)(nil)
)

func TestMain(m *testing.M) { testkit.Main(m) }

const maxTestRecordBytes = 8 << 20

func protoConfig(path string) Config {
	cfg := DefaultConfig()
	cfg.Path, cfg.Format = path, formatProto
	return cfg
}

// start returns a running exporter that is shut down at the end of the test.
func start(t testing.TB, cfg Config, change ...func(*Exporter)) *Exporter {
	t.Helper()
	e := started(t, cfg, change...)
	t.Cleanup(func() { stop(t, e) })
	return e
}

func started(t testing.TB, cfg Config, change ...func(*Exporter)) *Exporter {
	t.Helper()
	e, err := New(cfg, component.Settings{ID: "file/x", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(e)
	}
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return e
}

func stop(t testing.TB, e *Exporter) {
	t.Helper()
	if err := e.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// request is a valid request of any signal: one resource with a schema URL.
func request(size int, fill byte) []byte {
	resource := wire.AppendBytes(nil, otlpfield.ResourceXSchemaURL, strings.Repeat(string(fill), size))
	return wire.AppendBytes(nil, otlpfield.RequestResources, resource)
}

func consume(t testing.TB, e *Exporter, s otlp.Signal, request []byte) error {
	t.Helper()
	b, err := pipeline.NewBatch(s, bytes.Clone(request), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	return e.Consume(context.Background(), b)
}

func mustConsume(t testing.TB, e *Exporter, requests ...[]byte) {
	t.Helper()
	for _, r := range requests {
		if err := consume(t, e, otlp.Traces, r); err != nil {
			t.Fatal(err)
		}
	}
}

// records returns the records of files, in their order.
func records(t testing.TB, paths ...string) (out [][]byte) {
	t.Helper()
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, readAll(t, NewReader(bytes.NewReader(data), maxTestRecordBytes))...)
	}
	return out
}

func readAll(t testing.TB, r *Reader) (out [][]byte) {
	t.Helper()
	for {
		record, err := r.Next()
		if err != nil {
			if err.Error() != "EOF" {
				t.Fatal(err)
			}
			return out
		}
		out = append(out, bytes.Clone(record))
	}
}

func equal(t testing.TB, got, want [][]byte) {
	t.Helper()
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Fatalf("got %d records, want %d, or they differ", len(got), len(want))
	}
}

func TestEverySignalByteForByte(t *testing.T) {
	t.Parallel()
	for _, s := range otlp.Signals() {
		path := filepath.Join(t.TempDir(), s.String()+".binpb")
		e := start(t, protoConfig(path))
		in := [][]byte{request(10, 'a'), {}, request(100_000, 'b'), request(0, 'c')}
		var want []byte
		for _, r := range in {
			if err := consume(t, e, s, r); err != nil {
				t.Fatal(err)
			}
			// The Collector's format: four bytes, big endian, then the message.
			want = append(binary.BigEndian.AppendUint32(want, uint32(len(r))), r...)
		}
		got, err := os.ReadFile(path) // Consume returned nil, so the file has it
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes in the file, want %d", s, len(got), len(want))
		}
		equal(t, records(t, path), in)
	}
}

func TestZstd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	cfg := protoConfig(path)
	cfg.Compression, cfg.CompressionParams.Level = compressionZstd, 6
	e := start(t, cfg)
	in := [][]byte{request(100_000, 'a'), request(5, 'b'), {}}
	mustConsume(t, e, in...)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 1000 {
		t.Errorf("%d bytes", len(data))
	}
	r, err := NewZstdReader(bytes.NewReader(data), maxTestRecordBytes)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, readAll(t, r), in)
	small, err := NewZstdReader(bytes.NewReader(data), 50_000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := small.Next(); err == nil {
		t.Error("a reader for 50 KB returned a record of 100 KB")
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	cfg := protoConfig(filepath.Join(t.TempDir(), "new", "sub", "f"))
	if e, err := New(cfg, component.Settings{}); err != nil || e.Start(t.Context()) == nil {
		t.Fatalf("a missing directory passed: %v", err)
	}
	cfg.CreateDirectory, cfg.DirectoryPermissions, cfg.FilePermissions = true, "0710", "0600"
	start(t, cfg)
	for path, want := range map[string]os.FileMode{cfg.Path: 0o600, filepath.Dir(cfg.Path): os.ModeDir | 0o710} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestAppendOrTruncate(t *testing.T) {
	t.Parallel()
	for _, cont := range []bool{false, true} {
		cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
		cfg.Append = cont
		var want [][]byte
		for i := range 3 {
			e := start(t, cfg)
			r := request(10+i, 'a')
			mustConsume(t, e, r)
			stop(t, e)
			if !cont {
				want = nil
			}
			want = append(want, r)
		}
		equal(t, records(t, cfg.Path), want)
	}
}

func TestConcurrentConsume(t *testing.T) {
	t.Parallel()
	for _, acknowledge := range []string{acknowledgeWritten, acknowledgeSynced, acknowledgeBuffered} {
		cfg := protoConfig(filepath.Join(t.TempDir(), "f.pb"))
		cfg.Rotation, cfg.Acknowledge, cfg.FlushInterval = &Rotation{MaxMegabytes: 1}, acknowledge, time.Millisecond
		e := start(t, cfg)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 100 {
					mustConsume(t, e, request(1000*w+i, byte('a'+w)))
				}
			})
		}
		wg.Wait()
		stop(t, e)
		got := records(t, allFiles(t, cfg.Path)...)
		count := map[string]int{}
		for _, r := range got {
			count[string(r)]++
		}
		if len(got) != 800 || len(count) != 800 {
			t.Errorf("%d records, %d of them different", len(got), len(count))
		}
	}
}

// allFiles lists the backups, oldest first, and the file itself.
func allFiles(t testing.TB, path string) []string {
	t.Helper()
	ext := filepath.Ext(path)
	files, err := filepath.Glob(strings.TrimSuffix(path, ext) + "-*" + ext)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return append(files, path)
}

func TestFlushInterval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	synctest.Test(t, func(t *testing.T) {
		cfg := protoConfig(path)
		cfg.Acknowledge, cfg.FlushInterval = acknowledgeBuffered, time.Minute
		e := start(t, cfg)
		in := [][]byte{request(10, 'a'), request(20, 'b'), request(30, 'c')}
		mustConsume(t, e, in[:2]...)
		if got := records(t, path); len(got) != 0 {
			t.Errorf("%d records were written immediately", len(got))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, records(t, path), in[:2])
		mustConsume(t, e, in[2])
		stop(t, e)
		equal(t, records(t, path), in)
	})
}

// slowLog is a log that needs an hour for a record.
type slowLog struct{ slog.Handler }

func (slowLog) Enabled(context.Context, slog.Level) bool { return true }
func (slowLog) Handle(context.Context, slog.Record) error {
	time.Sleep(time.Hour)
	return nil
}

func TestShutdownWaitsForTheFlusher(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		cfg := protoConfig(path)
		cfg.Acknowledge, cfg.FlushInterval = acknowledgeBuffered, time.Minute
		e := start(t, cfg, d.seam, func(e *Exporter) { e.log = slog.New(slowLog{}) })
		mustConsume(t, e, request(10, 'a'))
		time.Sleep(time.Minute)
		synctest.Wait() // the flush has failed, and is being logged
		d.room = 1000
		began := time.Now()
		stop(t, e)
		if took := time.Since(began); took != time.Hour {
			t.Errorf("Shutdown returned after %s, with the flusher still running", took)
		}
		equal(t, records(t, path), [][]byte{request(10, 'a')})
	})
}

// Records that do not fit into the buffer are written, in order.
func TestFlushBuffersAreBounded(t *testing.T) {
	t.Parallel()
	cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
	cfg.Acknowledge, cfg.FlushInterval = acknowledgeBuffered, time.Hour
	e := start(t, cfg)
	var in [][]byte
	for _, size := range []int{10, 600_000, 600_000, 20, 3_000_000, 30} {
		in = append(in, request(size, 'x'))
		mustConsume(t, e, in[len(in)-1])
		if n := len(e.file.pending); n > maxPendingBytes {
			t.Errorf("%d bytes are buffered", n)
		}
	}
	equal(t, records(t, cfg.Path), in[:5])
	stop(t, e)
	equal(t, records(t, cfg.Path), in)
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
	cfg.Acknowledge, cfg.FlushInterval = acknowledgeBuffered, time.Hour
	e, err := New(cfg, component.Settings{ID: "file/x"})
	if err != nil {
		t.Fatal(err)
	}
	if e.Name() != "file/x" || e.Capabilities().MutatesData {
		t.Errorf("name %q, capabilities %+v", e.Name(), e.Capabilities())
	}
	refused := func(when string) {
		t.Helper()
		err := consume(t, e, otlp.Logs, request(1, 'a'))
		if v := pipeline.Classify(err); v == nil || v.Kind != pipeline.Retryable || !strings.Contains(err.Error(), "file/x") {
			t.Errorf("%s: %v", when, err)
		}
	}
	if _, err := os.Stat(cfg.Path); err == nil {
		t.Error("New created a file")
	}
	refused("before Start")
	for range 2 {
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	refused("after Shutdown")
	if e.Start(t.Context()) == nil {
		t.Error("started again after Shutdown")
	}
}

func TestMixedSignalsWarnOnce(t *testing.T) {
	t.Parallel()
	var log testkit.Log
	e, err := New(protoConfig(filepath.Join(t.TempDir(), "f")), component.Settings{Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer stop(t, e)
	for i, s := range []otlp.Signal{otlp.Logs, otlp.Logs, otlp.Traces, otlp.Metrics, otlp.Logs} {
		if err := consume(t, e, s, nil); err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Count(log.String(), "several signals"), min(i/2, 1); got != want {
			t.Errorf("after batch %d: %d warnings, want %d", i, got, want)
		}
	}
}

func BenchmarkConsume(b *testing.B) {
	for _, size := range []int{400, 400_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) { benchmarkConsume(b, size, 1, func(*Config) {}) })
	}
}

func benchmarkConsume(b *testing.B, size, clients int, change func(*Config)) {
	cfg := protoConfig(filepath.Join(b.TempDir(), "f"))
	cfg.Rotation = &Rotation{MaxMegabytes: 10, MaxBackups: 1}
	change(&cfg)
	e := start(b, cfg)
	r := request(size, byte('a'+rand.Intn(26)))
	b.SetBytes(int64(len(r)))
	b.ReportAllocs()
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ResetTimer()
	for range clients {
		all.Go(func() {
			batch, err := pipeline.NewBatch(otlp.Traces, r, nil)
			if err != nil {
				b.Error(err)
				return
			}
			defer batch.Release()
			for left.Add(-1) >= 0 {
				if err := e.Consume(context.Background(), batch); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// Clients at the same time share writes, and with acknowledge: synced, syncs.
func BenchmarkClients(b *testing.B) {
	for _, clients := range []int{1, 8, 64} {
		for _, acknowledge := range []string{acknowledgeWritten, acknowledgeSynced, acknowledgeBuffered} {
			b.Run(fmt.Sprintf("%d/%s", clients, acknowledge), func(b *testing.B) {
				benchmarkConsume(b, 400, clients, func(cfg *Config) { cfg.Acknowledge = acknowledge })
			})
		}
	}
}
