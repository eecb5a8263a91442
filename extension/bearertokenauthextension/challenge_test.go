package bearertokenauthextension

import (
	"testing"

	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestChallenge(t *testing.T) {
	for _, tt := range []struct{ header, scheme, want string }{
		{"Authorization", "Bearer", `Bearer realm="OTLP"`}, {"authorization", "Token", `Token realm="OTLP"`},
		{"Authorization", "", ""}, {"X-Token", "Bearer", ""},
	} {
		var c pipeline.Challenger = &Extension{cfg: Config{Header: tt.header, Scheme: tt.scheme}}
		if got := c.Challenge(); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
