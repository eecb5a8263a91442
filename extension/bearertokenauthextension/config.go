package bearertokenauthextension

import (
	"errors"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"golang.org/x/net/http/httpguts"
)

// Config is the extension's section of a configuration, with the keys of the
// OpenTelemetry Collector and their meaning. Start from DefaultConfig.
type Config struct {
	// Header is the name of the header with the token, "Authorization" by
	// default.
	Header string `yaml:"header"`
	// Scheme is the text before the token, "Bearer" by default. If it is "", the
	// value of the header is the token.
	Scheme string `yaml:"scheme"`
	// Token and Tokens are the accepted tokens. Only one of the two may be set.
	Token  config.Secret   `yaml:"token"`
	Tokens []config.Secret `yaml:"tokens,omitempty"`
	// Filename is a file with a token at the start of each line; text after a
	// space is a comment. It is read again when it has changed. If it is set,
	// Token and Tokens have no effect.
	Filename string `yaml:"filename"`
	// RetryOnFailure lets the extension start without its file.
	RetryOnFailure RetryConfig `yaml:"retry_on_failure,omitempty"`
	// WaitForTokenFile makes Start wait for the file, with the settings of
	// RetryOnFailure.
	WaitForTokenFile bool `yaml:"wait_for_token_file,omitempty"`
}

// RetryConfig configures how often to try to read a file that does not exist
// yet.
type RetryConfig struct {
	Enabled bool `yaml:"enabled"`
	// MaxRetries is the number of attempts after the first; 0 means no limit.
	MaxRetries int `yaml:"max_retries"`
	// Interval is the time between two attempts; 0 means one second.
	Interval time.Duration `yaml:"interval"`
}

// DefaultConfig returns a configuration without tokens, which is not valid.
func DefaultConfig() Config { return Config{Header: "Authorization", Scheme: "Bearer"} }

// Validate checks the section. Errors that the Collector has too have its
// texts.
func (c *Config) Validate() error {
	var errs []error
	switch {
	case c.Token == "" && len(c.Tokens) == 0 && c.Filename == "":
		errs = append(errs, errors.New("no bearer token provided: expected token, tokens or filename"))
	case c.Token != "" && len(c.Tokens) > 0:
		errs = append(errs, config.At("tokens", errors.New("either tokens or token should be provided, not both")))
	}
	for _, t := range c.Tokens {
		if strings.TrimSpace(string(t)) == "" {
			errs = append(errs, config.Atf("tokens", "expected tokens, found an empty one"))
		}
	}
	if c.Token != "" && strings.TrimSpace(string(c.Token)) == "" {
		errs = append(errs, config.Atf("token", "expected a token, found spaces"))
	}
	if !httpguts.ValidHeaderFieldName(c.Header) {
		errs = append(errs, config.Atf("header", "expected the name of a header, found %q", c.Header))
	}
	if strings.ContainsAny(c.Scheme, " \t") {
		errs = append(errs, config.Atf("scheme", "expected one word such as Bearer, found %q", c.Scheme))
	}
	return errors.Join(append(errs, c.validateRetry())...)
}

// Provides implements component.Provider.
func (c *Config) Provides() []component.Role {
	return []component.Role{component.RoleAuthenticator, component.RoleClientAuthenticator}
}

func (c *Config) validateRetry() error {
	r := c.RetryOnFailure
	switch {
	case (r.Enabled || c.WaitForTokenFile) && c.Filename == "":
		return config.Atf("filename", "retry_on_failure and wait_for_token_file need filename")
	case c.WaitForTokenFile && !r.Enabled:
		return config.Atf("wait_for_token_file", "wait_for_token_file requires retry_on_failure to be enabled")
	case r.MaxRetries < 0:
		return config.Atf("retry_on_failure.max_retries", "expected 0 or more, found %d", r.MaxRetries)
	case r.Interval < 0:
		return config.Atf("retry_on_failure.interval", "expected 0 or more, found %s", r.Interval)
	}
	return nil
}

// Warnings returns the settings that are valid but suspicious.
func (c *Config) Warnings() []string {
	if c.Filename != "" && (c.Token != "" || len(c.Tokens) > 0) {
		return []string{"filename is set, so token and tokens have no effect"}
	}
	return nil
}
