package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A journal in memory is a journal: it has what was appended, is full at its bound, and
// has room again when records were acknowledged. It writes no file.
func TestInMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	j, err := Open(dir, Options{InMemory: true, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	c, err := j.Cursor("a", Oldest)
	if err != nil {
		t.Fatal(err)
	}
	record := func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 3000) }
	for round := range 5 {
		n := 0
		for ; err == nil; n++ {
			_, err = j.Append(ctx, Record{Parts: [][]byte{record(n)}})
		}
		if n--; !errors.Is(err, ErrFull) || n < 200 {
			t.Fatalf("round %d: after %d records %v, want ErrFull after a MiB", round, n, err)
		}
		for i := range n {
			e, err := c.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, e.PayloadBytes())
			if err := c.Read(ctx, e, b); err != nil || !bytes.Equal(b, record(i)) {
				t.Fatalf("round %d: record %d: %v, %d bytes", round, i, err, len(b))
			}
			c.Ack(e)
		}
		for err = ErrFull; errors.Is(err, ErrFull); { // segments are removed in the background
			_, err = j.Append(ctx, Record{Parts: [][]byte{record(0)}})
		}
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		c.Ack(e)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of a journal in memory: %v, want none", err)
	}
}
