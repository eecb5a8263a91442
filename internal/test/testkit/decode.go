package testkit

import (
	"testing"

	"github.com/penstock-telemetry/penstock/internal/conf"
)

// Decode reads a component's settings from YAML into settings, a pointer to its
// defaults, as a configuration file's section is read. The error is that of the
// decoding; YAML that is not well formed fails the test.
func Decode(t testing.TB, yaml string, settings any) error {
	t.Helper()
	tree, err := conf.Load(conf.Options{Sources: []string{"yaml:" + yaml}})
	if err != nil {
		t.Fatalf("load the YAML: %v", err)
	}
	return tree.Root().Decode(settings)
}
