package bearertokenauthextension

import (
	"errors"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"golang.org/x/net/http/httpguts"
)

// Config is the extension's section of a configuration, with the keys and the
// meaning that the OpenTelemetry Collector gives them. Start from DefaultConfig.
type Config struct {
	// Header is where the token is, "Authorization" by default.
	Header string `yaml:"header"`
	// Scheme stands before the token, "Bearer" by default. With "" the header is
	// the token and nothing else.
	Scheme string `yaml:"scheme"`
	// Token and Tokens are what lets a client in. One of the two may be set.
	Token  config.Secret   `yaml:"token"`
	Tokens []config.Secret `yaml:"tokens,omitempty"`
	// Filename is a file with a token at the start of each line; what follows
	// after a space is a comment. It is read again when it has changed. Token and
	// Tokens say nothing beside it.
	Filename string `yaml:"filename"`
	// RetryOnFailure lets the extension start without its file.
	RetryOnFailure RetryConfig `yaml:"retry_on_failure,omitempty"`
	// WaitForTokenFile makes Start wait for the file, as RetryOnFailure says.
	WaitForTokenFile bool `yaml:"wait_for_token_file,omitempty"`
}

// RetryConfig is how long to look for a file that is not there yet.
type RetryConfig struct {
	Enabled bool `yaml:"enabled"`
	// MaxRetries counts the looks after the first; 0 is no limit.
	MaxRetries int `yaml:"max_retries"`
	// Interval is the time between two looks, 0 is one second.
	Interval time.Duration `yaml:"interval"`
}

// DefaultConfig returns a configuration without tokens, which is not enough.
func DefaultConfig() Config { return Config{Header: "Authorization", Scheme: "Bearer"} }

// Validate checks the section. Where the Collector has a text, it is the same.
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

func (c *Config) validateRetry() error {
	r := c.RetryOnFailure
	switch {
	case (r.Enabled || c.WaitForTokenFile) && c.Filename == "":
		return config.Atf("filename", "retry_on_failure and wait_for_token_file are about a file: expected filename")
	case c.WaitForTokenFile && !r.Enabled:
		return config.Atf("wait_for_token_file", "wait_for_token_file requires retry_on_failure to be enabled")
	case r.MaxRetries < 0:
		return config.Atf("retry_on_failure.max_retries", "expected 0 or more, found %d", r.MaxRetries)
	case r.Interval < 0:
		return config.Atf("retry_on_failure.interval", "expected 0 or more, found %s", r.Interval)
	}
	return nil
}

// Warnings says what is suspicious but not wrong.
func (c *Config) Warnings() []string {
	if c.Filename != "" && (c.Token != "" || len(c.Tokens) > 0) {
		return []string{"the tokens of filename count; token and tokens beside it are ignored"}
	}
	return nil
}
