package frontend_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// What is read after Await is the whole body, however it arrives, and its errors
// are not lost.
func TestHTTPBodyAfterAwait(t *testing.T) {
	t.Parallel()
	pace := frontend.DefaultPace()
	for _, text := range []string{"", "a", "ab", strings.Repeat("abc", 10_000)} {
		for name, from := range map[string]func(io.Reader) io.Reader{
			"at once":     func(r io.Reader) io.Reader { return r },
			"by bytes":    iotest.OneByteReader,
			"in halves":   iotest.HalfReader,
			"error early": iotest.DataErrReader,
		} {
			for _, size := range []int{1, 2, 100_000} {
				b := &frontend.HTTPBody{From: from(strings.NewReader(text)), Deadlines: http.NewResponseController(httptest.NewRecorder()),
					Pace: &pace, Began: time.Now(), MaxBytes: 1 << 20, Request: new(frontend.Request)}
				b.Await()
				got, err := io.ReadAll(iotest.OneByteReader(b))
				if size > 1 {
					b.From = from(strings.NewReader(text))
					b.Await()
					got, err = readAll(b, size)
				}
				if string(got) != text || err != nil {
					t.Errorf("%s, %d at a time: %d bytes of %d, %v", name, size, len(got), len(text), err)
				}
			}
		}
	}
	b := &frontend.HTTPBody{From: iotest.TimeoutReader(strings.NewReader("abc")), Deadlines: http.NewResponseController(httptest.NewRecorder()),
		Pace: &pace, Began: time.Now(), MaxBytes: 1 << 20, Request: new(frontend.Request)}
	b.Await()
	if got, err := readAll(b, 10); string(got) != "a" || err != iotest.ErrTimeout {
		t.Errorf("a truncated body: %q, %v", got, err)
	}
}

func readAll(r io.Reader, size int) (all []byte, err error) {
	p := make([]byte, size)
	for {
		n, err := r.Read(p)
		all = append(all, p[:n]...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}
