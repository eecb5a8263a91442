package fileexporter

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// formatOf is one of the four formats of files.
func formatOf(path, format, compression string) Config {
	cfg := DefaultConfig()
	cfg.Path, cfg.Format, cfg.Compression, cfg.Append = path, format, compression, true
	return cfg
}

var formats = [][2]string{{formatJSON, ""}, {formatProto, ""}, {formatJSON, compressionZstd}, {formatProto, compressionZstd}}

// otherFiles lists the files that were renamed because of their format.
func otherFiles(t testing.TB, path string) []string {
	t.Helper()
	files, err := filepath.Glob(strings.TrimSuffix(path, filepath.Ext(path)) + "-*" + filepath.Ext(path) + otherSuffix)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// write writes requests with one exporter, which says in its log what it renamed.
func write(t testing.TB, cfg Config, s otlp.Signal, requests ...[]byte) (log string) {
	t.Helper()
	var l testkit.Log
	e, err := New(cfg, component.Settings{ID: "file/x", Logger: l.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if err := consume(t, e, s, r); err != nil {
			t.Fatal(err)
		}
	}
	stop(t, e)
	return l.String()
}

// inFormat returns the records of one file that is wholly in this format.
func inFormat(t testing.TB, cfg Config, path string) (out [][]byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case cfg.Compression == "" && cfg.Format == formatJSON:
		lines(t, data) // checks them
		for line := range bytes.Lines(data) {
			out = append(out, bytes.TrimSuffix(line, []byte("\n")))
		}
		return out
	case cfg.Compression == "":
		return readAll(t, NewReader(bytes.NewReader(data), maxTestRecordBytes))
	}
	r, err := NewZstdReader(bytes.NewReader(data), maxTestRecordBytes)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, r)
}

func recordsOf(cfg Config, s otlp.Signal, requests [][]byte) (out [][]byte) {
	for _, r := range requests {
		if cfg.Format == formatJSON {
			r = otlp.AppendJSON(nil, s, r)
		}
		out = append(out, r)
	}
	return out
}

func testRequests(seed uint64, s otlp.Signal) (out [][]byte) {
	for i, items := range []int{1, 50, 300, 3, 20} {
		out = append(out, testkit.Request(rand.New(rand.NewPCG(seed, uint64(i))), s, items))
	}
	return out
}

// Whatever format an exporter finds, no record that was acknowledged is lost, and
// each file has one format.
func TestFileOfAnotherFormat(t *testing.T) {
	t.Parallel()
	for _, s := range otlp.Signals() {
		for _, from := range formats {
			for _, to := range formats {
				t.Run(fmt.Sprint(s, from, to), func(t *testing.T) {
					t.Parallel()
					path := filepath.Join(t.TempDir(), "f.data")
					old, next := formatOf(path, from[0], from[1]), formatOf(path, to[0], to[1])
					before, after := testRequests(1, s), testRequests(2, s)
					write(t, old, s, before...)
					log := write(t, next, s, after...)
					others := otherFiles(t, path)
					if from == to {
						equal(t, inFormat(t, next, path), recordsOf(next, s, slices.Concat(before, after)))
						if len(others) != 0 || log != "" {
							t.Errorf("files %v, log %s", others, log)
						}
						return
					}
					if len(others) != 1 || !strings.Contains(log, others[0]) || !strings.Contains(log, "level=WARN") {
						t.Fatalf("files %v, log %s", others, log)
					}
					equal(t, inFormat(t, old, others[0]), recordsOf(old, s, before))
					equal(t, inFormat(t, next, path), recordsOf(next, s, after))
				})
			}
		}
	}
}

// At whatever byte a crash ended the file, the exporter of the same format keeps all
// complete records, and that of another format does not change the file.
func TestTornFile(t *testing.T) {
	t.Parallel()
	for _, from := range formats {
		path := filepath.Join(t.TempDir(), "f.data")
		cfg := formatOf(path, from[0], from[1])
		requests := [][]byte{request(10, 'a'), request(0, 'b'), request(40, '{')}
		ends := []int64{0} // of the records
		for _, r := range requests {
			write(t, cfg, otlp.Logs, r)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, info.Size())
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= len(whole); n++ {
			complete := 0
			for complete < len(requests) && ends[complete+1] <= int64(n) {
				complete++
			}
			for _, to := range formats {
				name := fmt.Sprintf("%v to %v, %d of %d bytes", from, to, n, len(whole))
				path := filepath.Join(t.TempDir(), "f.data")
				if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
					t.Fatal(err)
				}
				next := formatOf(path, to[0], to[1])
				write(t, next, otlp.Logs, request(3, 'z'))
				got, others := inFormat(t, next, path), otherFiles(t, path)
				last := recordsOf(next, otlp.Logs, [][]byte{request(3, 'z')})
				kept := slices.Concat(recordsOf(cfg, otlp.Logs, requests[:complete]), last)
				switch {
				case len(others) == 1:
					equal(t, got, last)
					data, err := os.ReadFile(others[0])
					if err != nil || !bytes.Equal(data, whole[:n]) {
						t.Errorf("%s: the renamed file has %d bytes, %v", name, len(data), err)
					}
					// A line that only lacks its end is complete, so that it is kept, too.
					lacksEnd := from == formats[0] && slices.Contains(ends, int64(n+1))
					if from == to && complete > 0 && !lacksEnd {
						t.Errorf("%s: the file was renamed", name)
					}
				case len(others) != 0 || from != to:
					t.Errorf("%s: files %v", name, others)
				case !slices.EqualFunc(got, kept, bytes.Equal):
					t.Errorf("%s: %d records, want %d", name, len(got), len(kept))
				}
			}
		}
	}
}

// Files that begin in one format and go on in another, or are damaged, are not
// changed.
func TestMixedFiles(t *testing.T) {
	t.Parallel()
	in := func(format [2]string, requests ...[]byte) []byte {
		path := filepath.Join(t.TempDir(), "f.data")
		write(t, formatOf(path, format[0], format[1]), otlp.Logs, requests...)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	requests := testRequests(7, otlp.Logs)
	files := map[string][]byte{
		"zeros at the end":    append(in(formats[3], requests...), make([]byte, 4000)...),
		"zeros in a record":   append(in(formats[1], requests...), append([]byte{0, 0, 0, 100}, make([]byte, 100)...)...),
		"zeros after lines":   append(in(formats[0], requests...), make([]byte, 4000)...),
		"another's lines":     []byte("{\"a\":1}\n{\"b\":2}\n{\"c\":3"),
		"a text":              []byte(strings.Repeat("some text\n", 1000)),
		"a short text":        []byte("x"),
		"zstd of another":     zstdOf(t, []byte("some text")),
		"lines without end":   bytes.TrimSuffix(in(formats[0], requests...), []byte("\n")),
		"a frame in a record": append(in(formats[1], requests...), frame(string(zstdOf(t, requests[0])))...),
	}
	delete(files, "zeros at the end") // records of no bytes, which are valid
	for i, a := range formats {
		for j, b := range formats {
			if i == j {
				continue
			}
			first, second := in(a, requests...), in(b, requests...)
			files[fmt.Sprint(a, " then ", b)] = slices.Concat(first, second)
			// As an earlier version did it: cut in a record.
			if at := bytes.LastIndexByte(first, '\n'); at > 0 {
				files[fmt.Sprint(a, " cut, then ", b)] = slices.Concat(first[:at+1], second)
			}
		}
	}
	for name, data := range files {
		for _, to := range formats {
			path := filepath.Join(t.TempDir(), "f.data")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := formatOf(path, to[0], to[1])
			cfg.Append, cfg.Rotation = false, &Rotation{MaxBackups: 1}
			write(t, cfg, otlp.Logs, requests[0])
			write(t, cfg, otlp.Logs, requests[1])
			equal(t, inFormat(t, cfg, path), recordsOf(cfg, otlp.Logs, requests[:2]))
			others := otherFiles(t, path)
			if len(others) != 1 {
				t.Errorf("%s, opened as %v: files %v", name, to, others)
				continue
			}
			if got, err := os.ReadFile(others[0]); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s, opened as %v: the renamed file has %d bytes of %d, %v", name, to, len(got), len(data), err)
			}
		}
	}
}

func zstdOf(t testing.TB, b []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(b, nil)
}

// Of large records only the beginning is read.
func TestLongFileIsReadInParts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f.data")
	cfg := formatOf(path, formatProto, "")
	large := request(3<<20, 'x')
	write(t, cfg, otlp.Logs, large, large, large)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := &countingReader{f: f}
	info, _ := f.Stat()
	end, err := framingOf(&cfg).whole(r, info.Size())
	if err != nil || end != info.Size() {
		t.Fatalf("%d of %d bytes, %v", end, info.Size(), err)
	}
	if most := int64(2*maxCheckedBytes + 10*pageBytes); r.bytes > most {
		t.Errorf("%d bytes were read, want at most %d", r.bytes, most)
	}
}

type countingReader struct {
	f     *os.File
	bytes int64
}

func (r *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.f.ReadAt(p, off)
	r.bytes += int64(n)
	return n, err
}

// With acknowledge: buffered the log says what a crash loses.
func TestBufferedSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	cfg := protoConfig(filepath.Join(t.TempDir(), "f"))
	if log := write(t, cfg, otlp.Logs); log != "" {
		t.Errorf("not buffered: %s", log)
	}
	cfg.Acknowledge, cfg.FlushInterval = acknowledgeBuffered, 7e9
	log := write(t, cfg, otlp.Logs)
	for _, want := range []string{"level=WARN", "a crash of the process loses them", "at_most_bytes=1048576", "flush_interval=7s"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is missing in %s", want, log)
		}
	}
}
