package oidcextension

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/penstock-telemetry/penstock/config"
	"golang.org/x/net/http/httpguts"
)

// Config is the extension's section of a configuration, with the keys and the
// meaning that the OpenTelemetry Collector gives them. Start from DefaultConfig.
type Config struct {
	// Attribute is the header where the token is, "authorization" by default.
	Attribute string `yaml:"attribute"`
	// One are the keys of a single provider, which the Collector had before
	// Providers. It comes before those.
	One       Provider   `yaml:",inline"`
	Providers []Provider `yaml:"providers,omitempty"`
}

// Provider is an issuer whose tokens are taken.
type Provider struct {
	// IssuerURL is the issuer's name, to the letter, and where its discovery
	// document is found.
	IssuerURL string `yaml:"issuer_url,omitempty"`
	// IssuerCAPath holds authorities in PEM form to trust for the issuer; "" is
	// the system's.
	IssuerCAPath string `yaml:"issuer_ca_path,omitempty"`
	// Audience must be among a token's, unless IgnoreAudience.
	Audience       string `yaml:"audience,omitempty"`
	IgnoreAudience bool   `yaml:"ignore_audience,omitempty"`
	// IgnoreIssuer takes tokens with another issuer than IssuerURL, as long as its
	// keys have signed them. It works with one provider only.
	IgnoreIssuer bool `yaml:"ignore_issuer,omitempty"`
	// UsernameClaim names the client; "" is "sub".
	UsernameClaim string `yaml:"username_claim,omitempty"`
	// GroupsClaim holds the client's groups; a token must have it then.
	GroupsClaim string `yaml:"groups_claim,omitempty"`
	// PublicKeysFile is a JWK set to take the keys from, instead of the issuer. It
	// is read again when it has changed.
	PublicKeysFile string `yaml:"public_keys_file,omitempty"`
}

// DefaultConfig returns a configuration without a provider, which is not enough.
func DefaultConfig() Config { return Config{Attribute: "authorization"} }

// providers are all, with the path of each.
func (c *Config) providers() (all []Provider, paths []string) {
	if c.One != (Provider{}) {
		all, paths = append(all, c.One), append(paths, "")
	}
	for i, p := range c.Providers {
		all, paths = append(all, p), append(paths, fmt.Sprintf("providers[%d]", i))
	}
	return all, paths
}

// Validate checks the section. Where the Collector has a text, it is the same.
func (c *Config) Validate() error {
	var errs []error
	if !httpguts.ValidHeaderFieldName(c.Attribute) {
		errs = append(errs, config.Atf("attribute", "expected the name of a header, found %q", c.Attribute))
	}
	all, paths := c.providers()
	if len(all) == 0 {
		errs = append(errs, errors.New("no provider: expected issuer_url and audience, or providers"))
	}
	seen := map[string]bool{}
	for i, p := range all {
		err := p.check(len(all))
		if seen[p.IssuerURL] && p.IssuerURL != "" {
			err = errors.Join(err, fmt.Errorf("duplicate issuer URL found: %s", p.IssuerURL))
		}
		seen[p.IssuerURL] = true
		if paths[i] != "" && err != nil {
			err = config.At("providers", fmt.Errorf("[%d]: %w", i-len(all)+len(c.Providers), err))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p *Provider) check(among int) error {
	var errs []error
	if p.Audience == "" && !p.IgnoreAudience {
		errs = append(errs, errors.New("no Audience provided for the OIDC configuration"))
	}
	switch u, err := url.Parse(p.IssuerURL); {
	case p.IssuerURL == "":
		errs = append(errs, errors.New("no IssuerURL provided for the OIDC configuration"))
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		errs = append(errs, fmt.Errorf("issuer_url: expected an http or https URL, found %q", p.IssuerURL))
	}
	if p.IgnoreIssuer && among > 1 {
		errs = append(errs, errors.New("ignore_issuer cannot be true when multiple providers are configured"))
	}
	return errors.Join(errs...)
}

// Warnings says what is suspicious but not wrong.
func (c *Config) Warnings() []string {
	var warnings []string
	all, _ := c.providers()
	for _, p := range all {
		if u, err := url.Parse(p.IssuerURL); err == nil && u.Scheme == "http" && p.PublicKeysFile == "" {
			warnings = append(warnings, fmt.Sprintf("the keys of %s come over plain HTTP: who can change them on the way can make tokens", p.IssuerURL))
		}
	}
	return warnings
}
