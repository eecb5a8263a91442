package oidcextension

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/penstock-telemetry/penstock/config"
	"golang.org/x/net/http/httpguts"
)

// Config is the extension's section of a configuration, with the keys of the
// OpenTelemetry Collector and their meaning. Start from DefaultConfig.
type Config struct {
	// Attribute is the name of the header with the token, "authorization" by
	// default.
	Attribute string `yaml:"attribute"`
	// One has the keys of a single provider, which the Collector had before
	// Providers. It is the first provider.
	One       Provider   `yaml:",inline"`
	Providers []Provider `yaml:"providers,omitempty"`
}

// Provider is an issuer whose tokens are accepted.
type Provider struct {
	// IssuerURL is the exact name of the issuer, and the base URL of its
	// discovery document.
	IssuerURL string `yaml:"issuer_url,omitempty"`
	// IssuerCAPath is a file of authorities in PEM form for connections to the
	// issuer; "" means those of the system.
	IssuerCAPath string `yaml:"issuer_ca_path,omitempty"`
	// Audience must be one of the audiences of a token, unless IgnoreAudience
	// is set.
	Audience       string `yaml:"audience,omitempty"`
	IgnoreAudience bool   `yaml:"ignore_audience,omitempty"`
	// IgnoreIssuer accepts tokens with an issuer other than IssuerURL if they are
	// signed with its keys. It requires that there is only one provider.
	IgnoreIssuer bool `yaml:"ignore_issuer,omitempty"`
	// UsernameClaim is the claim with the name of the client; "" means "sub".
	UsernameClaim string `yaml:"username_claim,omitempty"`
	// GroupsClaim is the claim with the groups of the client. If it is set, a
	// token must have the claim.
	GroupsClaim string `yaml:"groups_claim,omitempty"`
	// PublicKeysFile is a file with a JWK set, which replaces the keys of the
	// issuer. It is read again when it has changed.
	PublicKeysFile string `yaml:"public_keys_file,omitempty"`
}

// DefaultConfig returns a configuration without a provider, which is not valid.
func DefaultConfig() Config { return Config{Attribute: "authorization"} }

// providers returns all providers, with the configuration path of each.
func (c *Config) providers() (all []Provider, paths []string) {
	if c.One != (Provider{}) {
		all, paths = append(all, c.One), append(paths, "")
	}
	for i, p := range c.Providers {
		all, paths = append(all, p), append(paths, fmt.Sprintf("providers[%d]", i))
	}
	return all, paths
}

// Validate checks the section. Errors that the Collector has too have its
// texts.
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

// Warnings returns the settings that are valid but suspicious.
func (c *Config) Warnings() []string {
	var warnings []string
	all, _ := c.providers()
	for _, p := range all {
		if u, err := url.Parse(p.IssuerURL); err == nil && u.Scheme == "http" && p.PublicKeysFile == "" {
			warnings = append(warnings, fmt.Sprintf("the keys of %s are fetched over plain HTTP: an attacker on the network can replace them and forge tokens", p.IssuerURL))
		}
	}
	return warnings
}
