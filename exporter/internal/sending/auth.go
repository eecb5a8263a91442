package sending

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// auth adds the credentials of an extension to every request.
type auth struct {
	id     string
	lookUp func(id string) (any, bool)
	found  pipeline.ClientAuthenticator // set by find
	static map[string]string            // the headers of the settings, by name in lower case
}

// connectionHeaders belong to the client: they are the same for all requests.
var connectionHeaders = []string{"user-agent", "host", "content-type", "content-length", "content-encoding"}

// UseAuth makes the exporter send the credentials of an extension, if settings is not
// nil. It returns the headers that the client sends by itself; the extension decides
// about the others. UseAuth is called before Start.
func (e *Exporter) UseAuth(set component.Settings, settings *config.ClientAuth, headers config.Headers) (own config.Headers) {
	if settings == nil {
		return headers
	}
	e.auth = &auth{id: settings.Authenticator, lookUp: set.OrDefaults().Extension, static: map[string]string{}}
	for _, h := range headers {
		if name := strings.ToLower(h.Name); slices.Contains(connectionHeaders, name) {
			own = append(own, h)
		} else {
			e.auth.static[name] = string(h.Value)
		}
	}
	return own
}

// Needs returns the extensions that an exporter's sections "auth" and "sending_queue"
// name.
func Needs(auth *config.ClientAuth, queue config.SendingQueue) (needs []component.Need) {
	if auth != nil {
		needs = append(needs, component.Need{Key: "auth.authenticator", ID: auth.Authenticator, Role: component.RoleClientAuthenticator})
	}
	if queue.Enabled && queue.Storage != "" {
		needs = append(needs, component.Need{Key: "sending_queue.storage", ID: queue.Storage, Role: component.RoleStorage})
	}
	return needs
}

// AuthWarnings warns about credentials that everybody on the network can read.
func AuthWarnings(settings *config.ClientAuth, plaintext bool) []string {
	if settings == nil || !plaintext {
		return nil
	}
	return []string{"auth: the credentials are sent without TLS"}
}

// find looks up the extension, which has been started.
func (a *auth) find() error {
	if a == nil {
		return nil
	}
	found, ok := a.lookUp(a.id)
	if !ok {
		return fmt.Errorf("auth.authenticator: failed to resolve authenticator %q: authenticator not found", a.id)
	}
	if a.found, ok = found.(pipeline.ClientAuthenticator); !ok {
		return fmt.Errorf("auth.authenticator: requested authenticator is not a client authenticator: %q", a.id)
	}
	return nil
}

// headersFor returns the headers of one request; nil without an extension.
func (a *auth) headersFor(ctx context.Context, b *pipeline.Batch) (map[string]string, error) {
	if a == nil {
		return nil, nil
	}
	headers := maps.Clone(a.static)
	if err := a.found.AddCredentials(ctx, b.Client(), headers); err != nil {
		return nil, fmt.Errorf("get credentials from the extension %q: %w", a.id, err)
	}
	return headers, nil
}
