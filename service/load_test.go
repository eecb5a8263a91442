package service

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/components"
)

// builtins are the options of a service with the components of the binary.
func builtins() Options { return Options{Components: components.Default()} }

// loadAll is Load with the components of the binary.
func loadAll(uris ...string) (*Config, error) { return Load(builtins(), uris...) }

func TestLogFileFailsToOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "penstock.log")
	cfg, err := LoadFrom(builtins(), Sources{Set: []string{"service.telemetry.logs.output_paths=[" + path + "]"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "service.telemetry.logs.output_paths") || !strings.Contains(err.Error(), path) {
		t.Errorf("Start returned %v", err)
	}
}

func TestFeatureGates(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		"":                         nil,
		"+service.profilesSupport": nil,
		"service.profilesSupport, -telemetry.newPipelineTelemetry": nil,
		"+service.profilSupport,x,-pdata.useProtoPooling": {
			`the feature gate "service.profilSupport" is not known; it is ignored`,
			`the feature gate "x" is not known; it is ignored`,
		},
	} {
		if diff := cmp.Diff(want, CheckFeatureGates(list)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", list, diff)
		}
	}
}
