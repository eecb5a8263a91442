package batchprocessor

import (
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
)

// Config has the Collector's keys.
type Config struct {
	// Timeout is how long a request waits for others at most.
	Timeout time.Duration `yaml:"timeout"`
	// SendBatchSize is the number of items from which on a merged request is sent at
	// once; 0: Timeout alone decides.
	SendBatchSize int `yaml:"send_batch_size"`
	// SendBatchMaxSize bounds the items of a merged request; 0: SendBatchSize does. A
	// request that has more by itself is passed on as it is.
	SendBatchMaxSize int `yaml:"send_batch_max_size"`
	// MetadataKeys are the request headers whose values a merged request has in common.
	MetadataKeys []string `yaml:"metadata_keys"`
	// MetadataCardinalityLimit has no effect: nothing is kept for values of which no
	// request is in flight.
	MetadataCardinalityLimit uint32 `yaml:"metadata_cardinality_limit"`
}

// DefaultConfig returns the Collector's defaults.
func DefaultConfig() Config {
	return Config{Timeout: 200 * time.Millisecond, SendBatchSize: 8192, MetadataCardinalityLimit: 1000}
}

// Validate refuses what the Collector refuses.
func (c *Config) Validate() error {
	var errs config.Errors
	fail := func(key, format string, args ...any) { errs.Add(config.Atf(key, format, args...)) }
	if c.Timeout < 0 {
		fail("timeout", "expected 0s or more, found %s", c.Timeout)
	}
	if c.SendBatchSize < 0 {
		fail("send_batch_size", "expected 0 or more, found %d", c.SendBatchSize)
	}
	if c.SendBatchMaxSize != 0 && c.SendBatchMaxSize < c.SendBatchSize {
		fail("send_batch_max_size", "expected 0, or at least send_batch_size, which is %d, found %d", c.SendBatchSize, c.SendBatchMaxSize)
	}
	seen := map[string]bool{}
	for _, key := range c.MetadataKeys {
		if key = strings.ToLower(key); seen[key] {
			fail("metadata_keys", "%q is duplicated (upper and lower case are the same)", key)
		}
		seen[key] = true
	}
	return errs.Err()
}

// Merging implements component.Merger.
func (c *Config) Merging() component.Merging {
	return component.Merging{MinItems: c.SendBatchSize, Wait: c.Timeout, MaxItems: c.maxItems(), Divide: c.SendBatchMaxSize > 0, MetadataKeys: c.MetadataKeys}
}

// maxItems bounds a merged request.
func (c *Config) maxItems() int {
	switch {
	case c.SendBatchMaxSize > 0:
		return c.SendBatchMaxSize
	case c.SendBatchSize > 0:
		return c.SendBatchSize
	}
	return 8192
}
