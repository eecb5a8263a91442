package frontend

import (
	"crypto/tls"
	"fmt"
	"log/slog"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Authenticator returns the extension called id, which decides about requests. The
// errors are the Collector's.
func Authenticator(set component.Settings, id string) (pipeline.Authenticator, error) {
	found, ok := set.Extension(id)
	if !ok {
		return nil, fmt.Errorf("failed to resolve authenticator %q: authenticator not found", id)
	}
	auth, ok := found.(pipeline.Authenticator)
	if !ok {
		return nil, fmt.Errorf("failed to resolve authenticator %q: requested authenticator is not a server authenticator", id)
	}
	return auth, nil
}

// LoadTLS reads the files of a server's settings for TLS; nil means plaintext.
// Later failures to reload files are logged to log.
func LoadTLS(t *config.ServerTLS, log *slog.Logger) (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	return t.LoadReporting(func(err error) {
		log.Warn("reloading the TLS files failed; the old ones stay in use", slog.Any("error", err))
	})
}
