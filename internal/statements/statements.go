// Package statements is what the configurations of the processors and connectors that
// speak OTTL share.
package statements

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Context returns the context of a group of statements and conditions of a signal: that of
// a name, or if the name is empty that of the paths.
func Context(s otlp.Signal, name string, parser func(*ottl.Context) *ottl.Parser, statements, conditions []string) (*ottl.Context, error) {
	if name == "" {
		return ottl.Infer(s, parser, statements, conditions)
	}
	c := ottl.ContextOf(strings.ToLower(name))
	if known := ottl.ContextsOf(s); c == nil || !slices.Contains(known, c) {
		return nil, config.Atf("context", "unknown context %q of %s, expected one of %s", name, s, ottl.Names(known))
	}
	return c, nil
}

// Within puts the places of an error, and of all those joined in it, inside a place.
func Within(key string, err error) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, e := range joined.Unwrap() {
			errs = append(errs, Within(key, e))
		}
		return errors.Join(errs...)
	}
	var field *config.FieldError
	if errors.As(err, &field) {
		sep := "."
		if strings.HasPrefix(field.Key, "[") {
			sep = ""
		}
		return config.At(key+sep+field.Key, field.Err)
	}
	return config.At(key, err)
}

// errorsEvery is how often errors that are ignored are logged.
const errorsEvery = 10 * time.Second

// Reporter returns what logs errors that are ignored, at most one in a while.
func Reporter(log *slog.Logger) func(error) {
	limit := &lograte.Limiter{}
	return func(err error) {
		if times, ok := limit.Allow(errorsEvery); ok {
			log.Warn("a statement or condition failed for an item and was passed over", slog.Any("error", err), slog.Int64("failures", times))
		}
	}
}

// ClientOf is the ottl.ClientFunc of the requests of a pipeline.
func ClientOf(p *otlpedit.Pass) *ottl.Client {
	c := pipeline.ClientOf(p)
	if c == nil {
		return nil
	}
	out := &ottl.Client{Addr: c.Addr, Metadata: c.Metadata}
	if c.Identity != nil {
		out.Attributes = c.Identity.Attributes
	}
	return out
}
