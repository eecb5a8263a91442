// Package headerssetterextension is the extension "headers_setter": it sets headers
// of the requests that exporters send, to fixed values or to those of the request
// from which the data came.
//
//	incoming request ──► receiver ──► … ──► exporter ──► AddCredentials ──► outgoing request
//	x-tenant: acme       include_metadata                from_context: x-tenant      x-scope-orgid: acme
//
// The one trap: a receiver keeps the headers of requests only with include_metadata,
// and a batch that a processor made of several requests has the headers of none.
package headerssetterextension

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// maxAdditional is the maximum number of extensions that one request passes through
// additional_auth. More are a cycle.
const maxAdditional = 8

// Extension is a pipeline.ClientAuthenticator.
type Extension struct {
	cfg    Config
	lookUp func(id string) (any, bool)
}

// New creates the extension.
func New(cfg Config, set component.Settings) (*Extension, error) {
	set = set.OrDefaults()
	errs := []error{cfg.Validate()}
	for i := range cfg.Headers {
		errs = append(errs, cfg.Headers[i].Validate())
	}
	if cfg.AdditionalAuth != "" && cfg.AdditionalAuth == set.ID {
		errs = append(errs, errors.New("additional_auth: expected another extension, found this one"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("extension %q: %w", set.ID, err)
	}
	return &Extension{cfg: cfg, lookUp: set.Extension}, nil
}

// Start does nothing.
func (*Extension) Start(context.Context) error { return nil }

// Shutdown does nothing.
func (*Extension) Shutdown(context.Context) error { return nil }

// UsedMetadata implements component.MetadataUser: what the extension reads of a request,
// and those that additional_auth leads to.
func (e *Extension) UsedMetadata() (metadata, attributes []string) {
	for range maxAdditional {
		for _, h := range e.cfg.Headers {
			if h.FromContext != "" {
				metadata = append(metadata, h.FromContext)
			}
			if h.FromAttribute != "" {
				attributes = append(attributes, h.FromAttribute)
			}
		}
		found, _ := e.lookUp(e.cfg.AdditionalAuth)
		next, ok := found.(*Extension)
		if !ok {
			break
		}
		e = next
	}
	return metadata, attributes
}

// AddCredentials implements pipeline.ClientAuthenticator.
func (e *Extension) AddCredentials(ctx context.Context, client *pipeline.Client, headers map[string]string) error {
	if err := e.addAdditional(ctx, client, headers); err != nil {
		return err
	}
	for i := range e.cfg.Headers {
		if err := e.cfg.Headers[i].apply(client, headers); err != nil {
			return err
		}
	}
	return nil
}

// depth is the key of the number of extensions that a request has passed.
type depth struct{}

func (e *Extension) addAdditional(ctx context.Context, client *pipeline.Client, headers map[string]string) error {
	id := e.cfg.AdditionalAuth
	if id == "" {
		return nil
	}
	passed, _ := ctx.Value(depth{}).(int)
	if passed == maxAdditional {
		return pipeline.Permanently(errors.New("additional_auth forms a cycle"))
	}
	// It is looked up for each request: it may start after this extension.
	found, _ := e.lookUp(id)
	other, ok := found.(pipeline.ClientAuthenticator)
	if !ok {
		return fmt.Errorf("additional_auth: failed to resolve authenticator %q: authenticator not found", id)
	}
	return other.AddCredentials(context.WithValue(ctx, depth{}, passed+1), client, headers)
}

// apply changes one header.
func (h *HeaderConfig) apply(client *pipeline.Client, headers map[string]string) error {
	name := strings.ToLower(h.Key)
	_, present := headers[name]
	switch h.Action {
	case actionDelete:
		delete(headers, name)
		return nil
	case actionInsert:
		if present {
			return nil
		}
	case actionUpdate:
		if !present {
			return nil
		}
	}
	value, err := h.source(client)
	if err != nil {
		return err
	}
	if value != "" {
		headers[name] = value
	}
	return nil
}

// source returns the value of the header, "" if there is none.
func (h *HeaderConfig) source(client *pipeline.Client) (string, error) {
	found := ""
	switch {
	case h.Value != nil:
		return string(*h.Value), nil
	case client == nil:
	case h.FromContext != "":
		all := client.Metadata[strings.ToLower(h.FromContext)]
		if len(all) > 1 {
			return "", pipeline.Permanently(fmt.Errorf("header %q: %d values of %q in the incoming request, expected one", h.Key, len(all), h.FromContext))
		}
		found = strings.Join(all, "")
	case client.Identity == nil:
	case h.FromAttribute == "subject":
		found = cmp.Or(client.Identity.Attributes["subject"], client.Identity.Subject)
	default:
		found = client.Identity.Attributes[h.FromAttribute]
	}
	return cmp.Or(found, string(h.DefaultValue)), nil
}
