package otlpclient

import (
	"bytes"
	"io"
	"log"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

// Main registers encodings with gRPC for the servers that the tests run. That
// clients need none of it is tested by internal/test/host.
func TestMain(m *testing.M) { testkit.Main(m) }

// hangsAfter is when a test calls what has not happened a hang. Nothing waits
// for it to pass; it is long since the machine may be starved.
const hangsAfter = time.Minute

// text is n bytes that compress about as telemetry does.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	words := []string{"http.request.method", "GET", "service.name", "checkout", "k8s.pod.uid", "\x0a\x12", "200"}
	var b bytes.Buffer
	for b.Len() < min(n, 1<<20) {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(byte(r.Uint32()))
	}
	return bytes.Repeat(b.Bytes(), n/max(b.Len(), 1)+1)[:n]
}

// checkedBytes are bytes to send that are overwritten as soon as they are released: a
// later reader is found by the race detector, or by what it sends.
type checkedBytes struct {
	bytes []byte
	dones atomic.Int32
	done  chan struct{}
}

func newCheckedBytes(b []byte) *checkedBytes {
	return &checkedBytes{bytes: bytes.Clone(b), done: make(chan struct{})}
}

func (l *checkedBytes) release() {
	for i := range l.bytes {
		l.bytes[i] = 0xDB
	}
	if l.dones.Add(1) == 1 {
		close(l.done)
	}
}

// mustBeDone waits for release, which may take the garbage collector, and checks that
// it was called once.
func (l *checkedBytes) mustBeDone(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(hangsAfter)
	for l.dones.Load() == 0 && time.Now().Before(deadline) {
		runtime.GC()
		select {
		case <-l.done:
		case <-time.After(5 * time.Millisecond):
		}
	}
	if n := l.dones.Load(); n != 1 {
		t.Errorf("Done was called %d times, want once", n)
	}
}

// discardLog keeps handshake errors that a test provokes out of its output.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
