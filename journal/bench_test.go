package journal

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
)

// benchDir is where benchmarks write; a folder of the system for temporary files can be
// in memory.
var benchDir = flag.String("benchdir", "", "folder on the disk that benchmarks measure; by default one for temporary files")

func diskDir(tb testing.TB) string {
	if *benchDir == "" {
		return tb.TempDir()
	}
	dir, err := os.MkdirTemp(*benchDir, "journal")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// latencies are durations of operations, of several goroutines.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(d []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d...)
}

func (l *latencies) report(b *testing.B) {
	slices.Sort(l.all)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(l.all[(len(l.all)-1)*p/100].Microseconds()), fmt.Sprintf("p%d-µs", p))
	}
}

var benchSizes = []struct{ goroutines, bytes int }{{1, 3000}, {8, 3000}, {64, 3000}, {1, 437000}}

// BenchmarkAppend appends; BenchmarkRawSync is the disk alone.
//
//	go test ./journal -run xxx -bench 'Append|RawSync' -benchdir /a/folder/on/the/disk
func BenchmarkAppend(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("goroutines=%d/bytes=%d", size.goroutines, size.bytes), func(b *testing.B) {
			j, err := Open(diskDir(b), Options{MaxBytes: 2 << 30, ReserveBytes: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			if _, err := j.Cursor("a", End); err != nil {
				b.Fatal(err)
			}
			benchAppend(b, j, size.goroutines, size.bytes, func() {
				if err := j.DropCursor("a"); err != nil { // what is passed can go
					b.Error(err)
				}
				if _, err := j.Cursor("a", End); err != nil {
					b.Error(err)
				}
				j.removePassed()
			})
			s := j.Stats()
			b.ReportMetric(float64(s.Syncs)/float64(s.Records), "fdatasyncs/op")
			b.ReportMetric(float64(s.SyncTime.Microseconds())/float64(s.Syncs), "µs/fdatasync")
		})
	}
}

// benchAppend appends b.N records from several goroutines. trim is called now and then.
func benchAppend(b *testing.B, j *Journal, goroutines, bytes int, trim func()) {
	payload := random(bytes)
	var l latencies
	var wg sync.WaitGroup
	var n atomic.Int64
	every := int64(512<<20) / int64(bytes)
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	b.ResetTimer()
	for range goroutines {
		wg.Go(func() {
			var own []time.Duration
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if i%every == 0 {
					trim()
				}
				begin := time.Now()
				if _, err := j.Append(ctx, Record{Parts: [][]byte{payload}}); err != nil {
					b.Error(err)
					return
				}
				own = append(own, time.Since(begin))
			}
			l.add(own)
		})
	}
	wg.Wait()
	b.StopTimer()
	l.report(b)
}

// BenchmarkRawSync writes and syncs as many bytes as a record has, one after the other
// in a file that was preallocated.
func BenchmarkRawSync(b *testing.B) {
	for _, size := range []int{3000, 437000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			fs, err := vfs.At(diskDir(b))
			if err != nil {
				b.Fatal(err)
			}
			defer fs.Close()
			f, err := fs.Create("raw")
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			const room = 256 << 20
			if err := f.Preallocate(room); err != nil {
				b.Fatal(err)
			}
			payload := random(size)
			var l latencies
			off := int64(0)
			b.SetBytes(int64(size))
			for b.Loop() {
				begin := time.Now()
				if _, err := f.WriteAt(payload, off); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				l.all = append(l.all, time.Since(begin))
				if off += int64(size); off+int64(size) > room {
					off = 0
				}
			}
			l.report(b)
		})
	}
}

// BenchmarkCursor reads and acknowledges records of 3 KB.
func BenchmarkCursor(b *testing.B) {
	j, err := Open(diskDir(b), Options{MaxBytes: 2 << 30, ReserveBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	c, err := j.Cursor("a", Oldest)
	if err != nil {
		b.Fatal(err)
	}
	payload, buf := random(3000), make([]byte, 3000)
	b.SetBytes(3000)
	b.ReportAllocs()
	for range b.N {
		b.StopTimer()
		if c.Held().Records == 0 {
			var wg sync.WaitGroup
			for range 1000 {
				wg.Go(func() {
					if _, err := j.Append(ctx, Record{Parts: [][]byte{payload}}); err != nil {
						b.Error(err)
					}
				})
			}
			wg.Wait()
		}
		b.StartTimer()
		e, err := c.Next(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Read(ctx, e, buf); err != nil {
			b.Fatal(err)
		}
		c.Ack(e)
	}
}

// BenchmarkOpen opens a backlog of 10 GiB: sealed segments of 64 MiB, sparse, with one
// record each.
//
//	go test ./journal -run xxx -bench Open
func BenchmarkOpen(b *testing.B) {
	dir := diskDir(b)
	backlog(b, dir, 160, 64<<20)
	b.ReportAllocs()
	for b.Loop() {
		j, err := Open(dir, Options{MaxBytes: 20 << 30, ReserveBytes: -1})
		if err != nil {
			b.Fatal(err)
		}
		if s := j.Stats(); s.Bytes < 10<<30 || s.ScannedSegments != 0 {
			b.Fatalf("%d bytes, %d segments scanned", s.Bytes, s.ScannedSegments)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(highWater(b))/(1<<20), "VmHWM-MiB")
}

// highWater is the most memory that the process has had, in bytes; 0 where that is not
// told.
func highWater(tb testing.TB) (bytes int64) {
	status, err := os.ReadFile(filepath.Join("/proc", "self", "status"))
	if err != nil {
		return 0
	}
	for line := range lines(status) {
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &bytes); n == 1 {
			return bytes << 10
		}
	}
	return 0
}
