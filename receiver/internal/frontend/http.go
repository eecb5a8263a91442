package frontend

import (
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/decompress"
)

// HTTPBody is a body that net/http reads. It must come at the pace, and be no
// longer than MaxBytes: one more is decompress.ErrTooLarge.
type HTTPBody struct {
	From io.Reader
	// Deadlines sets the connection's read deadline.
	Deadlines *http.ResponseController
	Pace      *Pace
	// Began is when the request did.
	Began    time.Time
	MaxBytes int64

	// Request counts what arrives.
	Request *Request

	// Bytes is how many were read.
	Bytes       int64
	until       time.Time // the read deadline
	first       [1]byte   // read by Await, and not by Read yet
	unread      int       // of first
	interrupted atomic.Bool
}

func (b *HTTPBody) Read(p []byte) (n int, err error) {
	before := 0
	if b.unread > 0 && len(p) > 0 {
		b.unread, p[0] = 0, b.first[0]
		if before = 1; len(p) == 1 {
			return 1, nil
		}
	}
	if by := b.Pace.BodyDeadline(b.Began, int(b.Bytes)); by.Sub(b.until) > b.Pace.GracePeriod/10 {
		b.until = by
		_ = b.Deadlines.SetReadDeadline(by) // a server that cannot has no slow clients: tests
		if b.interrupted.Load() {
			return before, os.ErrDeadlineExceeded // the deadline may have replaced that of Interrupt
		}
	}
	n, err = b.From.Read(p[before:])
	b.Request.Arrived(n)
	if b.Bytes += int64(n); b.Bytes > b.MaxBytes {
		return 0, decompress.ErrTooLarge
	}
	return before + n, err
}

// Await waits for the first byte, which Read returns again. It has no error: Read
// will return it.
func (b *HTTPBody) Await() {
	for b.unread == 0 {
		n, err := b.Read(b.first[:])
		if b.unread = n; err != nil {
			return
		}
	}
}

// Interrupt implements admission.Source.
func (b *HTTPBody) Interrupt(*admission.Overload) {
	b.interrupted.Store(true)
	_ = b.Deadlines.SetReadDeadline(time.Unix(1, 0))
}

// Done removes the deadline: net/http watches the connection while the request is
// processed.
func (b *HTTPBody) Done() { _ = b.Deadlines.SetReadDeadline(time.Time{}) }

// HTTPHeader is Transport.Header for net/http, which keeps the host apart.
func HTTPHeader(r *http.Request, name string) []string {
	if name == "host" {
		return []string{r.Host}
	}
	return r.Header.Values(name)
}

// HTTPHeaders is Transport.Headers for net/http.
func HTTPHeaders(r *http.Request) map[string][]string {
	md := make(map[string][]string, len(r.Header)+1)
	for k, values := range r.Header {
		md[strings.ToLower(k)] = values
	}
	if _, ok := md["host"]; !ok && r.Host != "" {
		md["host"] = []string{r.Host}
	}
	return md
}
