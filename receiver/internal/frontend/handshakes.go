package frontend

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/obsreport"
)

// handshakesEvery is how often the log has a line about TLS handshakes that failed.
const handshakesEvery = 10 * time.Second

// Handshakes counts TLS handshakes that failed, and logs one in a while.
type Handshakes struct {
	Obs   *obsreport.Receiver
	Log   *slog.Logger
	lines lograte.Limiter
}

// Failed is called for a client whose handshake failed. One that has sent nothing is a
// probe of a load balancer, for which it is not called.
func (h *Handshakes) Failed(client, cause string) {
	h.Obs.ConnRefused(obsreport.ConnHandshake)
	if times, ok := h.lines.Allow(handshakesEvery); ok {
		h.Log.LogAttrs(context.Background(), slog.LevelWarn, "a TLS handshake failed (logged at most once in "+handshakesEvery.String()+")",
			slog.String("client", client), slog.String("error", clip(cause)), slog.Int64("connections", times))
	}
}

// handshakeError is how net/http begins its line about a failed handshake.
var handshakeError = []byte("http: TLS handshake error from ")

// HTTPErrors is a writer for http.Server.ErrorLog: handshakes go to Handshakes, all
// others to the log at level debug.
type HTTPErrors struct{ Handshakes *Handshakes }

// Write takes one line.
func (e HTTPErrors) Write(line []byte) (int, error) {
	text := bytes.TrimSpace(line)
	rest, ok := bytes.CutPrefix(text, handshakeError)
	if !ok {
		e.Handshakes.Log.Debug(string(text))
		return len(line), nil
	}
	addr, cause, _ := bytes.Cut(rest, []byte(": "))
	if string(cause) == "EOF" { // it has sent nothing
		return len(line), nil
	}
	client := string(addr)
	if host, _, err := net.SplitHostPort(client); err == nil {
		client = host
	}
	e.Handshakes.Failed(client, string(cause))
	return len(line), nil
}
