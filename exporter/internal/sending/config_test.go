package sending

import (
	"fmt"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func TestCheckRetry(t *testing.T) {
	t.Parallel()
	const prefix = "retry_on_failure.max_elapsed_time: "
	for yaml, want := range map[string]string{
		"{}":                          "<nil>",
		"{r: }":                       "<nil>",
		"{r: {}}":                     "<nil>",
		"{r: {max_elapsed_time: 0}}":  "<nil>",
		"{r: {max_elapsed_time: 0s}}": "<nil>",
		"{r: {enabled: false, max_elapsed_time: 1s}}":                         "<nil>",
		"{r: {max_elapsed_time: 30s}}":                                        "<nil>",
		"{r: {max_elapsed_time: 1s}}":                                         prefix + "expected at least initial_interval, which is 5s, found 1s",
		"{r: {initial_interval: 1s, max_elapsed_time: 10s}}":                  prefix + "expected at least max_interval, which is 30s, found 10s",
		"{r: {initial_interval: 1m, max_interval: 2m, max_elapsed_time: 1m}}": prefix + "expected at least max_interval, which is 2m0s, found 1m0s",
		"{r: {initial_interval: soon}}":                                       `retry_on_failure.initial_interval: expected a duration such as "5s", found "soon"`,
	} {
		var section struct {
			R any `yaml:"r"`
		}
		if err := testkit.Decode(t, yaml, &section); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(CheckRetry(section.R)); got != want {
			t.Errorf("%s: got %s, want %s", yaml, got, want)
		}
	}
}
