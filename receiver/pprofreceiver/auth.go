package pprofreceiver

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// auths returns the sections "auth" that are set, by their key.
func (c *Config) auths() map[string]*config.ClientAuth {
	all := map[string]*config.ClientAuth{}
	if c.HTTP.Auth != nil {
		all["auth"] = c.HTTP.Auth
	}
	if r := c.Remote; r != nil && r.HTTP.Auth != nil {
		all["remote.auth"] = r.HTTP.Auth
	}
	return all
}

// plaintextAuth reports whether credentials are sent to a target without TLS.
func (c *Config) plaintextAuth() bool {
	all, _ := c.sources()
	return slices.ContainsFunc(all, func(s source) bool {
		return s.client != nil && s.client.Auth != nil && slices.ContainsFunc(s.jobs, func(j job) bool { return j.url.Scheme == "http" })
	})
}

// Needs lists the extensions that the configuration names.
func (c *Config) Needs() []component.Need {
	var all []component.Need
	for key, a := range c.auths() {
		all = append(all, component.Need{Key: key + ".authenticator", ID: a.Authenticator, Role: component.RoleClientAuthenticator})
	}
	if c.Storage != "" {
		all = append(all, component.Need{Key: "storage", ID: c.Storage, Role: component.RoleStorage})
	}
	return all
}

// authenticator returns the extension that adds credentials to the requests of a
// client, nil if there is none. It has been started.
func authenticator(set component.Settings, a *config.ClientAuth) (pipeline.ClientAuthenticator, error) {
	if a == nil {
		return nil, nil
	}
	found, ok := set.Extension(a.Authenticator)
	if !ok {
		return nil, fmt.Errorf("auth.authenticator: failed to resolve authenticator %q: authenticator not found", a.Authenticator)
	}
	client, ok := found.(pipeline.ClientAuthenticator)
	if !ok {
		return nil, fmt.Errorf("auth.authenticator: requested authenticator is not a client authenticator: %q", a.Authenticator)
	}
	return client, nil
}

// setHeaders sets the headers of a request: those of the settings, and credentials.
func (t *target) setHeaders(ctx context.Context, req *http.Request) error {
	headers := map[string]string{"user-agent": userAgent}
	for _, h := range t.client.Headers {
		headers[strings.ToLower(h.Name)] = string(h.Value)
	}
	if t.auth != nil {
		if err := t.auth.AddCredentials(ctx, nil, headers); err != nil {
			return &failure{causeDenied, fmt.Errorf("get credentials from the extension %q: %w", t.client.Auth.Authenticator, err)}
		}
	}
	for name, value := range headers {
		if name == "host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	return nil
}
