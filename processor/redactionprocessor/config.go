package redactionprocessor

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// Config is the processor's configuration, with the Collector's keys.
type Config struct {
	// AllowAllKeys allows all keys; else attributes are removed that are not in AllowedKeys.
	AllowAllKeys bool     `yaml:"allow_all_keys"`
	AllowedKeys  []string `yaml:"allowed_keys"`
	// IgnoredKeys and IgnoredKeyPatterns, regular expressions (RE2), are attributes that
	// stay as they are.
	IgnoredKeys        []string `yaml:"ignored_keys"`
	IgnoredKeyPatterns []string `yaml:"ignored_key_patterns"`
	// BlockedKeyPatterns are attributes whose values are masked.
	BlockedKeyPatterns []string `yaml:"blocked_key_patterns"`
	// BlockedValues match what is masked in values.
	BlockedValues []string `yaml:"blocked_values"`
	// AllowedValues match values that are not masked.
	AllowedValues []string `yaml:"allowed_values"`
	// RedactAllTypes masks values of other types in their text; else only strings are
	// compared with AllowedValues and BlockedValues.
	RedactAllTypes bool `yaml:"redact_all_types"`
	// HashFunction makes what replaces a match; empty: it is replaced by ****.
	HashFunction HashFunction `yaml:"hash_function"`
	// HMACKey is the key of hmac-sha256, of 32 bytes or more, and hmac-sha512, of 64.
	HMACKey config.Secret `yaml:"hmac_key"`
	// Summary is debug, for attributes with the keys of what was changed and how many
	// these are; info, for how many; or anything else, for none.
	Summary string `yaml:"summary"`
	// URLSanitizer and DBSanitizer are not available.
	URLSanitizer URLSanitizer `yaml:"url_sanitizer"`
	DBSanitizer  DBSanitizer  `yaml:"db_sanitizer"`
}

// HashFunction is sha1, md5, sha3 (of 256 bits), hmac-sha256, hmac-sha512, or empty.
type HashFunction string

// UnmarshalText reads a name in any case.
func (h *HashFunction) UnmarshalText(text []byte) error {
	name := HashFunction(strings.ToLower(string(text)))
	if _, ok := hashes[name]; !ok && name != "" {
		return fmt.Errorf("expected sha1, sha3, md5, hmac-sha256 or hmac-sha512, found %q", text)
	}
	*h = name
	return nil
}

// URLSanitizer has the Collector's keys.
type URLSanitizer struct {
	Enabled          bool     `yaml:"enabled"`
	Attributes       []string `yaml:"attributes"`
	SanitizeSpanName *bool    `yaml:"sanitize_span_name"`
}

// Validate refuses what is not available: what was to be removed would stay.
func (u *URLSanitizer) Validate() error {
	if u.Enabled {
		return config.Atf("enabled", "url_sanitizer is not available here; expected false")
	}
	return nil
}

// DBSanitizer has the Collector's keys.
type DBSanitizer struct {
	SQL              Sanitizer `yaml:"sql"`
	Redis            Sanitizer `yaml:"redis"`
	Valkey           Sanitizer `yaml:"valkey"`
	Memcached        Sanitizer `yaml:"memcached"`
	Mongo            Sanitizer `yaml:"mongo"`
	OpenSearch       Sanitizer `yaml:"opensearch"`
	ES               Sanitizer `yaml:"es"`
	SanitizeSpanName *bool     `yaml:"sanitize_span_name"`
}

// validate does what the decoder of a configuration does by itself.
func (d *DBSanitizer) validate() error {
	var errs []error
	for _, s := range []*Sanitizer{&d.SQL, &d.Redis, &d.Valkey, &d.Memcached, &d.Mongo, &d.OpenSearch, &d.ES} {
		errs = append(errs, config.At("db_sanitizer", s.Validate()))
	}
	return errors.Join(errs...)
}

// Sanitizer is for the queries of one kind of database.
type Sanitizer struct {
	Enabled    bool     `yaml:"enabled"`
	Attributes []string `yaml:"attributes"`
}

// Validate refuses what is not available: what was to be removed would stay.
func (s *Sanitizer) Validate() error {
	if s.Enabled {
		return config.Atf("enabled", "db_sanitizer is not available here; expected false")
	}
	return nil
}

// DefaultConfig returns the Collector's defaults, which allow no attribute.
func DefaultConfig() Config { return Config{} }

// Validate checks patterns and the key of hashes.
func (c *Config) Validate() error {
	var errs config.Errors
	for _, list := range []struct {
		key      string
		patterns []string
	}{
		{"ignored_key_patterns", c.IgnoredKeyPatterns}, {"blocked_key_patterns", c.BlockedKeyPatterns},
		{"blocked_values", c.BlockedValues}, {"allowed_values", c.AllowedValues},
	} {
		for _, pattern := range list.patterns {
			if _, err := regexp.Compile(pattern); err != nil {
				errs.Add(config.At(list.key, err))
			}
		}
	}
	if h, ok := hashes[c.HashFunction]; ok && len(c.HMACKey) < h.minKeyBytes {
		errs.Add(config.Atf("hmac_key", "%s needs a key of %d bytes or more, found one of %d", c.HashFunction, h.minKeyBytes, len(c.HMACKey)))
	}
	return errs.Err()
}
