package fileexporter

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// disk is a real file on a simulated disk: a write beyond room is incomplete.
type disk struct {
	mu       sync.Mutex
	room     int
	writes   int
	short    bool // return no error for an incomplete write, against io.Writer's contract
	noCut    bool // Truncate fails
	noOpen   bool
	noSync   bool // Sync fails
	syncs    int
	failures int
}

func (d *disk) seam(e *Exporter) {
	open := e.file.open
	e.file.open = func(path string, flag int) (file, error) {
		if d.noOpen {
			return nil, os.ErrPermission
		}
		f, err := open(path, flag)
		return &diskFile{f, d}, err
	}
}

type diskFile struct {
	file
	disk *disk
}

func (f *diskFile) Write(p []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.writes++
	n := min(len(p), f.disk.room)
	f.disk.room -= n
	written, err := f.file.Write(p[:n])
	if err == nil && n < len(p) {
		f.disk.failures++
		if !f.disk.short {
			err = syscall.ENOSPC
		}
	}
	return written, err
}

func (f *diskFile) Truncate(size int64) error {
	if f.disk.noCut {
		return syscall.EIO
	}
	return f.file.Truncate(size)
}

func (f *diskFile) Sync() error {
	f.disk.syncs++
	if f.disk.noSync {
		return syscall.EIO
	}
	return f.file.Sync()
}

// Length and bytes are written together, since another process may append to
// the file. Only a record that is too long to be copied needs two writes.
func TestRecordIsOneWrite(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{10: 1, 70_000: 1, maxPendingBytes - 100: 1, maxPendingBytes: 2} {
		d := &disk{room: 10 << 20}
		cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
		e := start(t, cfg, d.seam)
		r := request(size, 'a')
		mustConsume(t, e, r, r)
		if d.writes != 2*want {
			t.Errorf("%d bytes: %d writes of a record, want %d", size, d.writes/2, want)
		}
		equal(t, records(t, cfg.Path), [][]byte{r, r})
	}
}

// Two exporters, like two processes, append to one file: no record is split or
// lost.
func TestTwoWritersThatAppend(t *testing.T) {
	t.Parallel()
	cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
	cfg.Append = true
	const each = 500
	var writers sync.WaitGroup
	for _, e := range []*Exporter{start(t, cfg), start(t, cfg)} {
		writers.Go(func() {
			for i := range each {
				if err := consume(t, e, otlp.Traces, request(1+i*7%3000, 'a')); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if got := len(records(t, cfg.Path)); got != 2*each {
		t.Errorf("%d records in the file, want %d", got, 2*each)
	}
}

// However much of a record fits on the disk, the file has only complete
// records, and only those for which Consume returned nil.
func TestFullDiskHasCompleteRecords(t *testing.T) {
	t.Parallel()
	for _, short := range []bool{false, true} {
		for room := range 120 {
			d := &disk{room: room, short: short}
			cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
			e := start(t, cfg, d.seam)
			var kept [][]byte
			for i := range 6 {
				r := request(10+i, byte('a'+i))
				err := consume(t, e, otlp.Traces, r)
				if err == nil {
					kept = append(kept, r)
				} else if v := pipeline.Classify(err); v.Kind != pipeline.Retryable || !strings.Contains(err.Error(), cfg.Path) {
					t.Fatalf("got %v, expected a retryable refusal that names the file", err)
				} else if !short && !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("the cause is lost: %v", err)
				}
				equal(t, records(t, cfg.Path), kept)
				if i == 4 {
					d.room = 1000 // more space
				}
			}
			if room < 80 && d.failures == 0 || len(kept) == 0 {
				t.Fatalf("room %d: %d failures, %d kept: the test has no effect", room, d.failures, len(kept))
			}
		}
	}
}

// While an incomplete record cannot be removed nothing is written after it.
func TestNothingIsWrittenAfterIncompleteRecord(t *testing.T) {
	t.Parallel()
	d := &disk{room: 30, noCut: true}
	cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
	e := start(t, cfg, d.seam)
	first, second := request(10, 'a'), request(20, 'b')
	mustConsume(t, e, first)
	if err := consume(t, e, otlp.Traces, second); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	d.room = 1000
	if err := consume(t, e, otlp.Traces, second); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	d.noCut = false
	mustConsume(t, e, second)
	equal(t, records(t, cfg.Path), [][]byte{first, second})
}

// With a flush_interval a full disk loses no record for which Consume returned
// nil, if there is space in the end.
func TestFullDiskWithFlushInterval(t *testing.T) {
	t.Parallel()
	d := &disk{room: 500}
	cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
	cfg.Acknowledge, cfg.FlushInterval = acknowledgeBuffered, time.Hour
	e := start(t, cfg, d.seam)
	var kept [][]byte
	refused := 0
	for i := range 30 {
		r := request(100_000+i, 'x')
		if err := consume(t, e, otlp.Traces, r); err == nil {
			kept = append(kept, r)
		} else if refused++; !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	if len(kept) != 10 || refused != 20 {
		t.Fatalf("%d kept, %d refused, expected a buffer for 10", len(kept), refused)
	}
	d.room = 10 << 20
	stop(t, e)
	equal(t, records(t, cfg.Path), kept)
}

func TestItemsAreCounted(t *testing.T) {
	t.Parallel()
	meter := testkit.NewMeter()
	d := &disk{room: 100}
	e, err := New(protoConfig(filepath.Join(t.TempDir(), "f")), component.Settings{ID: "file/x", Meter: meter})
	if err != nil {
		t.Fatal(err)
	}
	d.seam(e)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer stop(t, e)
	var logs otlp.Encoder
	sl := otlp.AppendExportLogsServiceRequest(&logs).AddResourceLogs()
	scope := sl.AddScopeLogs()
	for range 3 {
		scope.AddLogRecords().Close()
	}
	scope.Close()
	sl.Close()
	for i := range 12 { // 14 bytes each: seven fit on the disk
		if err := consume(t, e, otlp.Logs, logs.Buf); (err == nil) != (i < 7) {
			t.Fatalf("record %d of %d bytes: %v", i, len(logs.Buf), err)
		}
	}
	for name, want := range map[string]int64{
		"otelcol_exporter_sent_log_records": 21, "otelcol_exporter_send_failed_log_records": 15, "otelcol_exporter_send_attempts": 12,
	} {
		if got := meter.Sum(t, name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

func TestShutdownReportsLostBytes(t *testing.T) {
	t.Parallel()
	d := &disk{}
	cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
	cfg.Acknowledge, cfg.FlushInterval = acknowledgeBuffered, time.Hour
	e, err := New(cfg, component.Settings{ID: "file/x"})
	if err != nil {
		t.Fatal(err)
	}
	d.seam(e)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustConsume(t, e, request(96, 'a'))
	err = e.Shutdown(t.Context())
	if err == nil || !strings.Contains(err.Error(), "buffered bytes, which are lost") || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
}

// Devices are opened through a link in the test's own directory: if the exporter
// renamed or deleted it, only the link would be affected.
func TestDevices(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has /dev/full")
	}
	for device, full := range map[string]bool{"/dev/full": true, "/dev/null": false} {
		dir := t.TempDir()
		cfg := protoConfig(filepath.Join(dir, "link"))
		if err := os.Symlink(device, cfg.Path); err != nil {
			t.Fatal(err)
		}
		cfg.Rotation = &Rotation{MaxMegabytes: 1, MaxBackups: 1}
		e := start(t, cfg)
		for range 3 {
			if err := consume(t, e, otlp.Logs, request(600_000, 'a')); errors.Is(err, syscall.ENOSPC) != full {
				t.Errorf("%s: %v", device, err)
			} else if full && strings.Contains(err.Error(), "remove an incomplete record") {
				t.Errorf("truncating a device was attempted: %v", err)
			}
		}
		// A device has no size, so it is not rotated.
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%s: %v, %v", device, entries, err)
		}
	}
}

func TestIncompleteRecordOfACrashIsRemoved(t *testing.T) {
	t.Parallel()
	whole := [][]byte{request(10, 'a'), request(70_000, 'b'), request(20, 'c')}
	for cut := range 27 { // of the last record: its length, or its bytes
		cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
		cfg.Append = true
		e := start(t, cfg)
		mustConsume(t, e, whole...)
		stop(t, e)
		info, err := os.Stat(cfg.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(cfg.Path, info.Size()-int64(cut)); err != nil {
			t.Fatal(err)
		}
		e = start(t, cfg)
		next := request(5, 'd')
		mustConsume(t, e, next)
		want := [][]byte{whole[0], whole[1], whole[2], next}
		if cut > 0 {
			want = [][]byte{whole[0], whole[1], next}
		}
		equal(t, records(t, cfg.Path), want)
	}
}

// A file of another kind is not truncated.
func TestOtherFileIsRenamed(t *testing.T) {
	t.Parallel()
	for _, rotation := range []*Rotation{nil, {MaxMegabytes: 1}} {
		foreign := []byte(`{"resourceSpans":[]}` + "\n")
		cfg := protoConfig(filepath.Join(t.TempDir(), "traces.json"))
		cfg.Append, cfg.Rotation = true, rotation
		if err := os.WriteFile(cfg.Path, foreign, 0o600); err != nil {
			t.Fatal(err)
		}
		e := start(t, cfg)
		mustConsume(t, e, request(5, 'a'))
		equal(t, records(t, cfg.Path), [][]byte{request(5, 'a')})
		files := otherFiles(t, cfg.Path)
		if len(files) != 1 {
			t.Fatalf("files: %v", files)
		}
		if got, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(got, foreign) {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// An incomplete record that could not be removed immediately does not become part
// of a backup, and is removed at the end.
func TestIncompleteRecordIsRemovedLater(t *testing.T) {
	t.Parallel()
	for _, rotates := range []bool{true, false} {
		d := &disk{room: 600_200, noCut: true}
		cfg := rotating(t, Rotation{MaxMegabytes: 1, MaxBackups: 5})
		e := start(t, cfg, d.seam)
		first, second := request(600_000, 'a'), request(600_000, 'b')
		mustConsume(t, e, first)
		if err := consume(t, e, otlp.Traces, request(1000, 'x')); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("got %v", err)
		}
		d.room = 1 << 30
		if rotates {
			if err := consume(t, e, otlp.Traces, second); !errors.Is(err, syscall.EIO) {
				t.Fatalf("rotated with an incomplete record: %v", err)
			}
		}
		d.noCut = false
		want := [][]byte{first}
		if rotates {
			mustConsume(t, e, second)
			want = append(want, second)
		}
		stop(t, e)
		equal(t, records(t, allFiles(t, cfg.Path)...), want)
	}
}

// stuck is a file whose writes block, like those to a pipe without a reader.
type stuck struct {
	file
	writing, free chan struct{}
}

func (f *stuck) Write(p []byte) (int, error) {
	close(f.writing)
	<-f.free
	return f.file.Write(p)
}

// While a write blocks, other calls return at their deadlines, and so does
// Shutdown. The file is closed when the write returns.
func TestBlockedWriteDoesNotBlockOthers(t *testing.T) {
	t.Parallel()
	s := &stuck{writing: make(chan struct{}), free: make(chan struct{})}
	e := started(t, protoConfig(filepath.Join(t.TempDir(), "f")), func(e *Exporter) {
		open := e.file.open
		e.file.open = func(path string, flag int) (file, error) {
			f, err := open(path, flag)
			s.file = f
			return s, err
		}
	})
	var writer sync.WaitGroup
	writer.Go(func() { mustConsume(t, e, request(10, 'a')) })
	<-s.writing
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	b, err := pipeline.NewBatch(otlp.Traces, request(10, 'b'), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if err := e.Consume(ended, b); !errors.Is(err, context.Canceled) || pipeline.Classify(err).Kind != pipeline.Retryable {
		t.Errorf("Consume: %v", err)
	}
	for range 2 {
		if err := e.Shutdown(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("Shutdown: %v", err)
		}
	}
	close(s.free)
	writer.Wait()
	if e.file.f != nil || e.open {
		t.Error("the file is still open")
	}
	if err := consume(t, e, otlp.Traces, request(10, 'c')); err == nil {
		t.Error("a batch was accepted after Shutdown")
	}
}
