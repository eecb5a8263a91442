package basicauthextension

import (
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/config"
)

// Config is the extension's section of a configuration, with the keys of the
// OpenTelemetry Collector and their meaning.
type Config struct {
	// Htpasswd has the users and their passwords.
	Htpasswd   *HtpasswdConfig `yaml:"htpasswd" config:"section"`
	ClientAuth clientAuth      `yaml:"client_auth,omitempty"`
}

// HtpasswdConfig holds lines "user:hash", in the format of Apache's htpasswd.
// If a user is in both, the line of Inline is used.
type HtpasswdConfig struct {
	// File is read again when it has changed.
	File   string        `yaml:"file"`
	Inline config.Secret `yaml:"inline"`
}

// Format implements fmt.Formatter. Without it, a verb that is not valid for a
// pointer to a struct, such as %s, would print Inline in clear text.
func (c HtpasswdConfig) Format(f fmt.State, verb rune) {
	type plain HtpasswdConfig
	fmt.Fprintf(f, fmt.FormatString(f, verb), plain(c))
}

// DefaultConfig returns a configuration without users, which is not valid.
func DefaultConfig() Config { return Config{} }

// Validate checks the section.
func (c *Config) Validate() error {
	h := c.Htpasswd
	if h == nil || h.File == "" && h.Inline == "" {
		return errors.New("no credential source provided: expected htpasswd.file, htpasswd.inline or both")
	}
	_, err := parse(nil, []byte(h.Inline))
	return config.At("htpasswd.inline", err)
}

// clientAuth is the sending side of the Collector's extension.
type clientAuth struct{}

// DecodeConfig implements config.Decoder.
func (clientAuth) DecodeConfig(v config.Value) error {
	if v.Kind() == config.Null {
		return nil
	}
	return errors.New("client_auth is not supported: the extension only authenticates incoming requests, " +
		"and does not add credentials to outgoing ones; set the headers of the exporter instead")
}
