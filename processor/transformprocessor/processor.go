package transformprocessor

import (
	"log/slog"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/internal/sequence"
)

// errorsEvery is how often errors that are ignored are logged.
const errorsEvery = 10 * time.Second

// New returns a processor that does the statements of its signal to every batch.
func New(cfg Config, set component.Settings) (pipeline.Processor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	report := reporter(set.OrDefaults().Logger)
	return sequence.New(set.Signal, func(s otlp.Signal) []otlpedit.Plan {
		steps, _ := cfg.steps(s, report) // they were compiled before
		return ottl.Plans(s, steps...)
	}), nil
}

// reporter logs errors that are ignored, at most one in a while.
func reporter(log *slog.Logger) func(error) {
	limit := &lograte.Limiter{}
	return func(err error) {
		if times, ok := limit.Allow(errorsEvery); ok {
			log.Warn("a statement failed for an item and was passed over", slog.Any("error", err), slog.Int64("failures", times))
		}
	}
}
