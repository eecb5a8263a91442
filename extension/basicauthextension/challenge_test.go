package basicauthextension

import (
	"testing"

	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestChallenge(t *testing.T) {
	var c pipeline.Challenger = &Extension{}
	if got := c.Challenge(); got != `Basic realm="OTLP"` {
		t.Error(got)
	}
}
