package decompress

import (
	"slices"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/config"
)

func TestCodings(t *testing.T) {
	t.Parallel()
	all := append(config.Encodings(), "")
	for _, c := range []struct {
		name    string
		list    []string
		off     bool
		allowed []string
		refused []string
		shown   string
	}{
		{"nil is all", nil, false, slices.Concat(all, []string{"identity", "GZIP", "x-gzip"}), []string{"br", "gzip, gzip"},
			"gzip, zstd, zlib, deflate, snappy, x-snappy-framed, lz4 or none"},
		{"empty is off", []string{}, true, nil, slices.Concat(all, []string{"br"}), ""},
		{"some", []string{"x-gzip", "Zstd"}, false, []string{"gzip", "GZIP", "x-gzip", "zstd"}, []string{"", "identity", "zlib"}, "gzip or zstd"},
		{"only plain", []string{""}, false, []string{"", "identity"}, []string{"gzip"}, "none"},
		{"deflate is not zlib", []string{"deflate", ""}, false, []string{"deflate", ""}, []string{"zlib"}, "deflate or none"},
	} {
		got, err := ParseCodings(c.list)
		if err != nil || got.Off() != c.off || got.String() != c.shown {
			t.Errorf("%s: off is %v, shown as %q, %v", c.name, got.Off(), got, err)
		}
		for _, e := range c.allowed {
			if !got.Allows(e) {
				t.Errorf("%s: %q is refused", c.name, e)
			}
		}
		for _, e := range c.refused {
			if got.Allows(e) {
				t.Errorf("%s: %q is allowed", c.name, e)
			}
		}
	}
	if !(Codings{}).Allows("lz4") || (Codings{}).Off() {
		t.Error("the zero value does not accept all")
	}
	_, err := ParseCodings([]string{"gzip", "zsdt", "brotli"})
	if err == nil || !strings.Contains(err.Error(), `unknown compression "zsdt", did you mean "zstd"?`) || !strings.Contains(err.Error(), `"brotli"`) {
		t.Errorf("got %v", err)
	}
}
