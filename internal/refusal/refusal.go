// Package refusal translates what an otlpclient.Sender says into what a
// pipeline understands:
//
//	*otlpclient.Error ─► *pipeline.Error: Retryable, Overloaded, Permanent
//
// It is a package of its own because neither of the two knows the other.
//
// The one trap: an error that is no *otlpclient.Error is Retryable, as
// pipeline.Classify has it.
package refusal

import (
	"errors"

	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Of translates the error of a Sender's Send; nil stays nil.
func Of(err error) *pipeline.Error {
	if err == nil {
		return nil
	}
	out := &pipeline.Error{Kind: pipeline.Retryable, Err: err}
	var e *otlpclient.Error
	if !errors.As(err, &e) {
		return out
	}
	out.Code, out.RetryAfter = uint32(e.Code), e.RetryAfter
	switch {
	case !e.Retryable:
		out.Kind = pipeline.Permanent
	case e.Throttled:
		out.Kind = pipeline.Overloaded
	}
	return out
}
