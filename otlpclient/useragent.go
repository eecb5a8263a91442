package otlpclient

import (
	"errors"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/version"
)

var errInvalidSignal = errors.New("the request has no valid signal")

// Version returns the version of penstock in the running program, without a leading
// "v": "1.2.3", or "devel" if it is not known.
func Version() string { return version.Number() }

// userAgent returns the User-Agent header of the client's requests: the one in h, if
// there is one.
func userAgent(h config.Headers) string {
	if own := h.Get("user-agent"); own != "" {
		return own
	}
	return "penstock/" + Version()
}

// grpcUserAgent is userAgent with the key user_agent, which a header overrides.
func grpcUserAgent(cfg config.GRPCClient) string {
	if cfg.Headers.Get("user-agent") == "" && cfg.UserAgent != "" {
		return cfg.UserAgent
	}
	return userAgent(cfg.Headers)
}
