package basicauthextension

import (
	"errors"

	"github.com/penstock-telemetry/penstock/internal/conf"
)

// Config is the extension's section of a configuration, with the keys and the
// meaning that the OpenTelemetry Collector gives them.
type Config struct {
	// Htpasswd says who may come in.
	Htpasswd   conf.Optional[HtpasswdConfig] `yaml:"htpasswd"`
	ClientAuth clientAuth                    `yaml:"client_auth,omitempty"`
}

// HtpasswdConfig holds lines "user:hash", as Apache's htpasswd writes them. A
// user that is in both is taken from Inline.
type HtpasswdConfig struct {
	// File is read again when it has changed.
	File   string      `yaml:"file"`
	Inline conf.Opaque `yaml:"inline"`
}

// DefaultConfig returns a configuration without users, which is not enough.
func DefaultConfig() Config { return Config{} }

// Validate checks the section.
func (c *Config) Validate() error {
	h := c.Htpasswd.Get()
	if h == nil || h.File == "" && h.Inline == "" {
		return errors.New("no credential source provided: expected htpasswd.file, htpasswd.inline or both")
	}
	_, err := parse(nil, []byte(h.Inline))
	return conf.At("htpasswd.inline", err)
}

// clientAuth is the sending side of the Collector's extension.
type clientAuth struct{}

// DecodeConf implements conf.Decoder.
func (clientAuth) DecodeConf(n *conf.Node) error {
	if n.Kind() == conf.Null {
		return nil
	}
	return errors.New("client_auth is not supported: the extension asks clients who they are, " +
		"and adds nothing to what exporters send; set the exporter's headers instead")
}
