package otlpreceiver

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/penstock-telemetry/penstock/otlp"
)

// max_value_depth is how many messages of a value may be nested; a request with more is
// refused with the path of the value, what was found, and the key.
func TestMaxValueDepth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, most int }{{0, 100}, {otlp.DefaultDepth, 100}, {10, 10}, {otlp.MaxDepth, 192}} {
		t.Run(fmt.Sprint(c.key), func(t *testing.T) {
			t.Parallel()
			cfg := testConfig()
			cfg.MaxValueDepth = c.key
			r := newRig(t, cfg)
			arrays := (c.most - 2) / 2 // beside the attribute and its value
			for _, via := range testTransports {
				if a := via.send(r, otlp.Traces, "", marshal(nested(arrays))); !a.ok() {
					t.Errorf("%s: %d arrays: %v", via.name, arrays, a.status)
				}
				a := via.send(r, otlp.Traces, "", marshal(nested(arrays+1)))
				wantDepthError(t, via.name, a, "Resource.KeyValue", c.most)
			}
			good, err := protojson.Marshal(nested(arrays))
			if err != nil {
				t.Fatal(err)
			}
			if a := r.sendJSON(otlp.Traces, "", string(good)); !a.ok() {
				t.Errorf("JSON: %d arrays: %v", arrays, a.status)
			}
			bad, err := protojson.Marshal(nested(arrays + 1))
			if err != nil {
				t.Fatal(err)
			}
			wantDepthError(t, "JSON", r.sendJSON(otlp.Traces, "", string(bad)), "resourceSpans[0].resource.attributes[0]", c.most)
		})
	}
}

func wantDepthError(t *testing.T, over string, a answer, path string, most int) {
	t.Helper()
	found := fmt.Sprintf("value of %d nested messages, expected at most %d", most+2, most)
	if over == "JSON" || most == otlp.MaxDepth {
		found = fmt.Sprintf("value of more than %d nested messages", most)
	}
	for _, part := range []string{path + ": " + found, "max_value_depth"} {
		if text := a.status.Message; a.ok() || !strings.Contains(text, part) {
			t.Errorf("%s: %q, want %q in it", over, text, part)
		}
	}
}

func TestMaxValueDepthIsChecked(t *testing.T) {
	cfg := testConfig()
	cfg.MaxValueDepth = otlp.MaxDepth + 1
	if err := cfg.check(); err == nil || !strings.Contains(err.Error(), "max_value_depth: expected 0 to 192, found 193") {
		t.Errorf("%v", err)
	}
}
