package otlpclient

import (
	"fmt"
	"strings"
)

// explanations are texts of errors of the transports that do not say what is wrong, with
// what it mostly is.
var explanations = []struct{ text, means string }{
	{"no children to pick from", "the name of the host cannot be resolved"},
	{"produced zero addresses", "the name of the host cannot be resolved"},
	{"http2: frame too large", "the server seems to speak HTTP/1 here: expected a port for gRPC, usually 4317, or an exporter for HTTP"},
	{"error reading server preface: EOF", "the server closes connections without TLS: it seems to expect TLS, or another protocol"},
	{"error reading server preface: read ", "the server closes connections without TLS: it seems to expect TLS, or another protocol"},
	{"first record does not look like a TLS handshake", "the server seems not to use TLS here: expected tls.insecure: true, or a URL with http://"},
	{"malformed HTTP response", "the server seems to speak another protocol here: a port for gRPC needs an exporter for gRPC"},
	{"readLoopPeekFailLocked", "the server sends before it is asked: a port for gRPC needs an exporter for gRPC"},
	{"server gave HTTP response to HTTPS client", "the server seems not to use TLS here: expected a URL with http://"},
}

// explained adds what an error of a transport mostly means.
func explained(err error) error {
	text := err.Error()
	for _, e := range explanations {
		if strings.Contains(text, e.text) {
			return fmt.Errorf("%w; %s", err, e.means)
		}
	}
	return err
}
