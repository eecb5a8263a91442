package fileexporter

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// heldFile is a file whose first write waits until free is closed.
type heldFile struct {
	file
	writes *atomic.Int32
	free   chan struct{}
}

func (f *heldFile) Write(p []byte) (int, error) {
	if f.writes.Add(1) == 1 {
		<-f.free
	}
	return f.file.Write(p)
}

func held(free chan struct{}, writes *atomic.Int32) func(*Exporter) {
	return func(e *Exporter) {
		open := e.file.open
		e.file.open = func(path string, flag int) (file, error) {
			f, err := open(path, flag)
			return &heldFile{f, writes, free}, err
		}
	}
}

// Records that arrive while one is written are written together; each call returns when
// its record is in the file.
func TestCallsShareAWrite(t *testing.T) {
	for _, c := range []struct {
		acknowledge string
		sizes       []int // of the records that wait
		writes      int32
	}{
		{acknowledgeWritten, []int{10, 20, 30, 40, 50}, 2},
		{acknowledgeSynced, []int{10, 20, 30, 40, 50}, 2},
		{acknowledgeWritten, []int{600_000, 600_000, 10}, 3},
		{acknowledgeWritten, []int{10, 3_000_000, 10}, 5}, // one more for the prefix of the large one
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			free, writes, d := make(chan struct{}), atomic.Int32{}, &disk{room: 10 << 20}
			cfg := protoConfig(filepath.Join(dir, "f"))
			cfg.Acknowledge = c.acknowledge
			e := start(t, cfg, d.seam, held(free, &writes))
			want := [][]byte{request(5, 'x')}
			var calls sync.WaitGroup
			call := func(r []byte) {
				calls.Go(func() {
					if err := consume(t, e, otlp.Traces, r); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait() // in the queue, or in the write
			}
			call(want[0])
			for i, size := range c.sizes {
				want = append(want, request(size, byte('a'+i)))
				call(want[i+1])
			}
			close(free)
			calls.Wait()
			if got := writes.Load(); got != c.writes {
				t.Errorf("%v: %d writes, want %d", c.sizes, got, c.writes)
			}
			if want := map[string]int{acknowledgeSynced: 2}[c.acknowledge]; d.syncs != want {
				t.Errorf("%v: %d syncs, want %d", c.sizes, d.syncs, want)
			}
			equal(t, records(t, cfg.Path), want)
		})
	}
}

// A call that waits in the queue returns at its deadline, and its record is not written.
func TestDeadlineInTheQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	synctest.Test(t, func(t *testing.T) {
		free, writes := make(chan struct{}), atomic.Int32{}
		e := start(t, protoConfig(path), held(free, &writes))
		var calls sync.WaitGroup
		calls.Go(func() { mustConsume(t, e, request(1, 'a')) })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		calls.Go(func() {
			b, err := pipeline.NewBatch(otlp.Traces, request(1, 'b'), nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer b.Release()
			if err := e.Consume(ctx, b); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		calls.Go(func() { mustConsume(t, e, request(1, 'c')) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(free)
		calls.Wait()
		equal(t, records(t, path), [][]byte{request(1, 'a'), request(1, 'c')})
	})
}

// However much of a group fits on the disk, the file has those records for which Consume
// returned nil, and no others.
func TestFullDiskWithGroups(t *testing.T) {
	t.Parallel()
	var rooms []int
	for room := 0; room < 2_600_000; room += 77_777 {
		rooms = append(rooms, room)
	}
	for room := 2_400_050; room < 2_400_200; room += 10 { // after the large one
		rooms = append(rooms, room)
	}
	for _, room := range rooms {
		d := &disk{room: room}
		cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
		e := start(t, cfg, d.seam)
		var group []*entry
		for i, size := range []int{10, 400_000, 400_000, 400_000, 1_200_000, 20, 30} {
			group = append(group, &entry{record: request(size, byte('a'+i)), done: make(chan error, 1)})
		}
		e.turn <- struct{}{}
		e.commit(append([]*entry{}, group...))
		e.unlock()
		var kept [][]byte
		for _, en := range group {
			select {
			case err := <-en.done:
				if err == nil {
					kept = append(kept, en.record)
				} else if !errors.Is(err, syscall.ENOSPC) {
					t.Fatal(err)
				}
			default:
				t.Fatalf("room %d: a record of %d bytes has no result", room, len(en.record))
			}
		}
		equal(t, records(t, cfg.Path), kept)
	}
}

// A record whose sync failed is refused, and is not in the file.
func TestSyncFails(t *testing.T) {
	t.Parallel()
	d := &disk{room: 1 << 20}
	cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
	cfg.Acknowledge = acknowledgeSynced
	e := start(t, cfg, d.seam)
	first, second := request(10, 'a'), request(20, 'b')
	mustConsume(t, e, first)
	d.noSync = true
	if err := consume(t, e, otlp.Traces, second); !errors.Is(err, syscall.EIO) || pipeline.Classify(err).Kind != pipeline.Retryable {
		t.Errorf("got %v", err)
	}
	equal(t, records(t, cfg.Path), [][]byte{first})
	d.noSync = false
	mustConsume(t, e, second)
	equal(t, records(t, cfg.Path), [][]byte{first, second})
}

// A panic of a write refuses the whole group, and the exporter goes on.
func TestPanicSettlesTheGroup(t *testing.T) {
	t.Parallel()
	cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
	e := start(t, cfg)
	before := e.file.framing.before
	e.file.framing.before = func(buf *[prefixBytes]byte, n int) []byte {
		if n > 1000 {
			panic("test")
		}
		return before(buf, n)
	}
	group := []*entry{e.queue.add(request(10, 'a')), e.queue.add(request(2000, 'b'))}
	func() {
		defer func() {
			if fmt.Sprint(recover()) != "test" {
				t.Error("no panic")
			}
		}()
		e.turn <- struct{}{}
		e.writeQueue()
	}()
	for _, en := range group {
		if err := <-en.done; !errors.Is(err, errPanicked) {
			t.Errorf("got %v", err)
		}
	}
	mustConsume(t, e, request(3, 'c'))
	equal(t, records(t, cfg.Path), [][]byte{request(3, 'c')})
}
