package selfobs

import (
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// LogsConfig configures penstock's own log: level, encoding and outputs.
type LogsConfig struct {
	Level logLevel `yaml:"level"`
	// Encoding is console or json. Empty is console.
	Encoding string `yaml:"encoding,omitempty"`
	// OutputPaths are files, stdout or stderr.
	OutputPaths   []string       `yaml:"output_paths"`
	InitialFields map[string]any `yaml:"initial_fields,omitempty"`
	// DisableZapResource leaves the resource out of JSON logs.
	DisableZapResource bool `yaml:"disable_zap_resource,omitempty"`

	// DisableCaller leaves the key "caller" out of JSON logs.
	DisableCaller bool `yaml:"disable_caller,omitempty"`
	// Processors send the lines of the log as OTLP, too.
	Processors []ProcessorConfig `yaml:"processors,omitempty"`
	// Sampling drops lines that repeat; nil drops none.
	Sampling *SamplingConfig `yaml:"sampling,omitempty" config:"section"`

	// These configure stack traces in the log. penstock's log has none, so they have no
	// effect.
	Development       bool `yaml:"development,omitempty"`
	DisableStacktrace bool `yaml:"disable_stacktrace,omitempty"`

	ErrorOutputPaths ignoredKey `yaml:"error_output_paths,omitempty"`
}

// Validate checks the section "logs".
func (c *LogsConfig) Validate() error {
	var errs []error
	if !slices.Contains([]string{"", "console", "json"}, c.Encoding) {
		errs = append(errs, config.Atf("encoding", "expected console or json, found %q", c.Encoding))
	}
	if slices.Contains(c.OutputPaths, "") {
		errs = append(errs, config.Atf("output_paths", "expected stderr, stdout or file names, found an empty one"))
	}
	return errors.Join(errs...)
}

// logLevel is a slog.Level with zap's names.
type logLevel slog.Level

// UnmarshalText implements encoding.TextUnmarshaler. Empty is info. zap's levels above error,
// which end the program, all mean error here.
func (l *logLevel) UnmarshalText(text []byte) error {
	name := strings.ToLower(string(text))
	switch name {
	case "dpanic", "panic", "fatal":
		name = "error"
	case "":
		name = "info"
	case "warning":
		name = "warn"
	case "debug", "info", "warn", "error":
	default:
		return errors.New("expected debug, info, warn or error")
	}
	return (*slog.Level)(l).UnmarshalText([]byte(name))
}

// Level implements slog.Leveler.
func (l logLevel) Level() slog.Level { return slog.Level(l) }

// MarshalText implements encoding.TextMarshaler.
func (l logLevel) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(l.Level().String())), nil
}
