package debugexporter

import (
	"errors"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// Verbosity is how much of a batch is shown.
type Verbosity string

// The verbosities. They are case-insensitive.
const (
	Basic    Verbosity = "basic"
	Normal   Verbosity = "normal"
	Detailed Verbosity = "detailed"
)

// Format is how a batch is shown.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
)

func (v Verbosity) lower() Verbosity { return Verbosity(strings.ToLower(string(v))) }

// Config is the exporter's configuration, with the Collector's keys.
type Config struct {
	Verbosity Verbosity `yaml:"verbosity"`
	// Format is text, or json for one line of OTLP/JSON for each batch,
	// whatever the verbosity.
	Format Format `yaml:"format"`
	// SamplingInitial is how many batches of a signal are shown each second
	// before sampling begins. Of the further batches every nth is shown, with n
	// = SamplingThereafter: 1 means all, 0 none.
	SamplingInitial    int `yaml:"sampling_initial"`
	SamplingThereafter int `yaml:"sampling_thereafter"`
	// UseInternalLogger writes batches to the service's own log; otherwise they
	// are written to OutputPaths as plain text.
	UseInternalLogger bool `yaml:"use_internal_logger"`
	// OutputPaths are files to append to, "stdout" or "stderr". The default is
	// stdout.
	OutputPaths []string `yaml:"output_paths"`
	// SendingQueue has no effect; see Warnings.
	SendingQueue any `yaml:"sending_queue"`
}

// DefaultConfig returns the Collector's defaults.
func DefaultConfig() Config {
	return Config{Verbosity: Basic, Format: Text, SamplingInitial: 2, SamplingThereafter: 1, UseInternalLogger: true}
}

// Validate checks the configuration without opening files.
func (c *Config) Validate() error {
	var errs []error
	if c.Verbosity == "" {
		c.Verbosity = Basic // a key without a value
	}
	if v := c.Verbosity.lower(); v != Basic && v != Normal && v != Detailed {
		errs = append(errs, config.Atf("verbosity", "unknown verbosity %q, expected basic, normal or detailed", c.Verbosity))
	}
	switch {
	case c.Format != Text && c.Format != JSON:
		errs = append(errs, config.Atf("format", "unknown format %q, expected text or json", c.Format))
	case c.Format == JSON && c.UseInternalLogger:
		errs = append(errs, config.Atf("format", "format: json needs use_internal_logger: false"))
	}
	if c.SamplingInitial < 0 {
		errs = append(errs, config.Atf("sampling_initial", "%d is negative", c.SamplingInitial))
	}
	if c.SamplingThereafter < 0 {
		errs = append(errs, config.Atf("sampling_thereafter", "%d is negative", c.SamplingThereafter))
	}
	if c.UseInternalLogger && c.OutputPaths != nil {
		errs = append(errs, config.Atf("output_paths", "output_paths need use_internal_logger: false"))
	}
	if !c.UseInternalLogger && c.OutputPaths != nil && len(c.OutputPaths) == 0 {
		errs = append(errs, config.Atf("output_paths", `expected "stdout", "stderr" or paths of files, found none`))
	}
	return errors.Join(errs...)
}

// Warnings returns a warning for each key that is set and has no effect.
func (c *Config) Warnings() []string {
	if m, ok := c.SendingQueue.(map[string]any); c.SendingQueue == nil || ok && m["enabled"] == false {
		return nil
	}
	return []string{"sending_queue has no effect on the debug exporter, which has no queue"}
}
