package filestorageextension

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// bboltFileOf returns a file that bbolt has written: go test . -args -golden in
// tools/bboltdrain makes them.
func bboltFileOf(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata", name+".bbolt.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestQueueSize(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int64{"small": 2, "large": 2003, "older": 2003, "empty": -1} {
		content := bboltFileOf(t, name)
		if got := requestsIn(bytes.NewReader(content)); got != want {
			t.Errorf("%s: %d requests, want %d", name, got, want)
		}
		if name == "empty" {
			continue
		}
		page := make([]byte, 4096)
		if got := requestsIn(bytes.NewReader(append(append([]byte{}, page...), page...))); got != -1 {
			t.Errorf("%s: without its meta pages: %d", name, got)
		}
		if got := requestsIn(bytes.NewReader(content[:8192])); got != -1 {
			t.Errorf("%s: without its tree: %d", name, got)
		}
	}
}

// Whatever a file has, the answer is a number or an error.
func FuzzQueueSize(f *testing.F) {
	var files [][]byte
	for _, name := range []string{"small", "empty", "large", "older"} {
		files = append(files, bboltFileOf(f, name))
		for page := range uint32(6) {
			f.Add(uint8(len(files)-1), page*4096+8, uint64(1), page*4096+20, uint64(1<<33))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, at uint32, with uint64, at2 uint32, with2 uint64) {
		content := bytes.Clone(files[int(which)%len(files)])
		for _, change := range []struct {
			at   uint32
			with uint64
		}{{at, with}, {at2, with2}} {
			if b := content[change.at%uint32(len(content)-8):]; change.with != 0 {
				order.PutUint64(b, order.Uint64(b)^change.with)
			}
		}
		if n := requestsIn(bytes.NewReader(content)); n < -1 {
			t.Error(n)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte{0x19, 1, 0, 0, 0, 0, 0, 0, 0, 0x21, 3, 0, 0, 0, 0, 0, 0, 0, 0x2a, 8, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = countOfMetadata(b) // must not panic
	})
}
