package otlpreceiver

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
)

// urlPaths returns the configured path of each signal with its key.
func (c *HTTPConfig) urlPaths() [otlp.Profiles + 1]struct{ key, path string } {
	return [otlp.Profiles + 1]struct{ key, path string }{
		otlp.Traces:   {"traces_url_path", c.TracesURLPath},
		otlp.Metrics:  {"metrics_url_path", c.MetricsURLPath},
		otlp.Logs:     {"logs_url_path", c.LogsURLPath},
		otlp.Profiles: {"profiles_url_path", c.ProfilesURLPath},
	}
}

// routes maps paths to signals: the configured ones, and the signal table's
// aliases where no signal claims them.
func (c *HTTPConfig) routes() (map[string]otlp.Signal, error) {
	full := *c
	full.fillIn()
	urlPaths := full.urlPaths()
	routes := map[string]otlp.Signal{}
	var errs []error
	for _, s := range otlp.Signals() {
		path, err := sanitizePath(urlPaths[s].path)
		if other := routes[path]; err == nil && other.Valid() {
			err = fmt.Errorf("%s and %s cannot have the same path %q", other, s, path)
		}
		if err != nil {
			errs = append(errs, config.At(urlPaths[s].key, err))
			continue
		}
		routes[path] = s
	}
	for _, s := range otlp.Signals() {
		for _, alias := range s.Spec().Aliases {
			if _, taken := routes[alias]; !taken {
				routes[alias] = s
			}
		}
	}
	return routes, errors.Join(errs...)
}

// sanitizePath does what the Collector does to a configured path: of a URL the
// path is kept, and the slash in front may be missing.
func sanitizePath(configured string) (string, error) {
	u, err := url.Parse(configured)
	if err != nil {
		return "", fmt.Errorf("invalid HTTP URL path set for signal: %w", err)
	}
	if u.Path == "" || u.Path[0] != '/' {
		return "/" + u.Path, nil
	}
	return u.Path, nil
}
