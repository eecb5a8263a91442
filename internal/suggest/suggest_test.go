package suggest

import (
	"fmt"
	"strings"
	"testing"
)

func TestKnown(t *testing.T) {
	t.Parallel()
	known := []string{"receivers", "exporters", "batch", "max_size", "otlp", "otlp_http"}
	for got, want := range map[string]string{
		"exporter": "exporters", "recievers": "receivers", "Batch": "batch", "maxSize": "max_size", "max-size": "max_size",
		"oltp": "otlp", "otlphttp": "otlp_http", "bat": "", "zzz": "", "": "", strings.Repeat("x", 1000): "",
	} {
		text := Known(got, known)
		if want == "" && strings.Contains(text, "did you mean") || want != "" && !strings.Contains(text, fmt.Sprintf("did you mean %q?", want)) {
			t.Errorf("Known(%q) = %q, want %q", got, text, want)
		}
		if !strings.HasSuffix(text, " (known: batch, exporters, max_size, otlp, otlp_http, receivers)") {
			t.Errorf("Known(%q) = %q does not list the known names", got, text)
		}
	}
	if text := Known("x", nil); text != " (known: none)" {
		t.Errorf("no known names: %q", text)
	}
}
