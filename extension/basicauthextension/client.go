package basicauthextension

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/penstock-telemetry/penstock/extension/internal/watched"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var errNotClient = errors.New("the extension has no client_auth: it is for incoming requests")

// client has the credentials of outgoing requests.
type client struct {
	cfg            ClientConfig
	name, password *watched.File[string] // nil without a file
}

func newClient(cfg ClientConfig, log *slog.Logger) *client {
	c := &client{cfg: cfg}
	text := func(content []byte) (string, error) { return strings.TrimSpace(string(content)), nil }
	if cfg.UsernameFile != "" {
		c.name = watched.New(cfg.UsernameFile, log, func(content []byte) (string, error) {
			name, _ := text(content)
			return name, checkUser(name)
		})
	}
	if cfg.PasswordFile != "" {
		c.password = watched.New(cfg.PasswordFile, log, text)
	}
	return c
}

// load reads the files.
func (c *client) load() error {
	if c.name != nil {
		if err := c.name.Load(); err != nil {
			return fmt.Errorf("client_auth.username_file: %w", err)
		}
	}
	if c.password != nil {
		if err := c.password.Load(); err != nil {
			return fmt.Errorf("client_auth.password_file: %w", err)
		}
	}
	return nil
}

// AddCredentials implements pipeline.ClientAuthenticator.
func (e *Extension) AddCredentials(_ context.Context, _ *pipeline.Client, headers map[string]string) error {
	if e.client == nil {
		return pipeline.Permanently(errNotClient)
	}
	name, password := e.client.cfg.Username, string(e.client.cfg.Password)
	if f := e.client.name; f != nil {
		name = *f.Get() // not nil: Start has read it
	}
	if f := e.client.password; f != nil {
		password = *f.Get()
	}
	headers["authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
	return nil
}
