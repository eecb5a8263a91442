package frontend

import (
	"io"
	"net/http"
	"strings"
	"time"

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

	// Bytes is how many were read.
	Bytes int64
	until time.Time // the read deadline
}

func (b *HTTPBody) Read(p []byte) (int, error) {
	if by := b.Pace.BodyDeadline(b.Began, int(b.Bytes)); by.Sub(b.until) > b.Pace.GracePeriod/10 {
		b.until = by
		_ = b.Deadlines.SetReadDeadline(by) // a server that cannot has no slow clients: tests
	}
	n, err := b.From.Read(p)
	if b.Bytes += int64(n); b.Bytes > b.MaxBytes {
		return 0, decompress.ErrTooLarge
	}
	return n, err
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
