package basicauthextension

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
)

// Config is the extension's section of a configuration, with the keys of the
// OpenTelemetry Collector and their meaning.
type Config struct {
	// Htpasswd has the users and their passwords, for receivers.
	Htpasswd *HtpasswdConfig `yaml:"htpasswd" config:"section"`
	// ClientAuth has the credentials of outgoing requests, for exporters. Only one of
	// the two may be set.
	ClientAuth *ClientConfig `yaml:"client_auth,omitempty" config:"section"`
}

// ClientConfig has a user and a password. Files are read again when they have
// changed; the spaces around their contents are ignored. A file takes precedence.
type ClientConfig struct {
	Username     string        `yaml:"username"`
	UsernameFile string        `yaml:"username_file,omitempty"`
	Password     config.Secret `yaml:"password"`
	PasswordFile string        `yaml:"password_file,omitempty"`
}

// Validate checks the section "client_auth".
func (c *ClientConfig) Validate() error {
	if c.Username == "" && c.UsernameFile == "" {
		return config.Atf("username", "expected username or username_file, found neither")
	}
	return config.At("username", checkUser(c.Username))
}

// checkUser returns an error for a name that cannot be sent (RFC 7617, section 2).
func checkUser(name string) error {
	if strings.Contains(name, ":") || strings.ContainsFunc(name, unicode.IsControl) {
		return errors.New("expected a name without colons and control characters")
	}
	return nil
}

// Provides implements component.Provider.
func (c *Config) Provides() []component.Role {
	if c.ClientAuth != nil {
		return []component.Role{component.RoleClientAuthenticator}
	}
	return []component.Role{component.RoleAuthenticator}
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
	switch {
	case h != nil && c.ClientAuth != nil:
		return config.Atf("client_auth", "only one of `htpasswd` or `client_auth` can be specified")
	case c.ClientAuth != nil:
		return nil
	}
	if h == nil || h.File == "" && h.Inline == "" {
		return errors.New("no credential source provided: expected htpasswd.file, htpasswd.inline or both, or client_auth")
	}
	_, err := parse(nil, []byte(h.Inline))
	return config.At("htpasswd.inline", err)
}
