package oidcextension

import (
	"testing"

	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestChallenge(t *testing.T) {
	for attribute, want := range map[string]string{"authorization": `Bearer realm="OTLP"`, "x-token": ""} {
		var c pipeline.Challenger = &Extension{attribute: attribute}
		if got := c.Challenge(); got != want {
			t.Errorf("%s: %s", attribute, got)
		}
	}
}
