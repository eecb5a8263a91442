package oauth2clientextension

import (
	"errors"
	"time"

	"github.com/penstock-telemetry/penstock/config"
)

// Config is the extension's section of a configuration, with the keys of the
// OpenTelemetry Collector and their meaning. Start from DefaultConfig.
type Config struct {
	// ClientID and ClientSecret identify this client. A file takes precedence; it is
	// read again when it has changed.
	ClientID         string        `yaml:"client_id"`
	ClientIDFile     string        `yaml:"client_id_file,omitempty"`
	ClientSecret     config.Secret `yaml:"client_secret"`
	ClientSecretFile string        `yaml:"client_secret_file,omitempty"`
	// TokenURL is where tokens are fetched.
	TokenURL string `yaml:"token_url"`
	// Scopes are the permissions to ask for.
	Scopes []string `yaml:"scopes,omitempty"`
	// EndpointParams are further parameters of the request for a token, such as
	// audience.
	EndpointParams map[string][]string `yaml:"endpoint_params,omitempty"`
	TLS            config.ClientTLS    `yaml:"tls"`
	// Timeout is for fetching one token; 0 means 30s.
	Timeout time.Duration `yaml:"timeout"`
	// ExpiryBuffer is how long before its expiry a token is replaced, at most half of
	// its life.
	ExpiryBuffer time.Duration `yaml:"expiry_buffer"`
	// GrantType is client_credentials.
	GrantType string `yaml:"grant_type,omitempty"`
}

// DefaultConfig returns the configuration of an empty section, which is not valid.
func DefaultConfig() Config { return Config{Timeout: 30 * time.Second, ExpiryBuffer: 5 * time.Minute} }

// Validate checks the section.
func (c *Config) Validate() error {
	var errs []error
	if c.ClientID == "" && c.ClientIDFile == "" {
		errs = append(errs, config.Atf("client_id", "expected client_id or client_id_file, found neither"))
	}
	if c.ClientSecret == "" && c.ClientSecretFile == "" {
		errs = append(errs, config.Atf("client_secret", "expected client_secret or client_secret_file, found neither"))
	}
	if c.TokenURL == "" {
		errs = append(errs, config.Atf("token_url", "no URL is set: expected one such as https://host/oauth2/token"))
	} else {
		_, err := config.ParseHTTPEndpoint(c.TokenURL)
		errs = append(errs, config.At("token_url", err))
	}
	if c.GrantType != "" && c.GrantType != "client_credentials" {
		errs = append(errs, config.Atf("grant_type", "expected client_credentials, found %q; the others of the Collector are not there yet", c.GrantType))
	}
	if c.Timeout < 0 {
		errs = append(errs, config.Atf("timeout", "expected 0 or more, found %s", c.Timeout))
	}
	if c.ExpiryBuffer < 0 {
		errs = append(errs, config.Atf("expiry_buffer", "expected 0 or more, found %s", c.ExpiryBuffer))
	}
	return errors.Join(append(errs, config.At("tls", c.TLS.Validate()))...)
}
