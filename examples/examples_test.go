// Package examples has example programs. Its test runs them.
package examples

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Each example runs, prints what happened to its samples, and sends valid
// profiles.
func TestExamples(t *testing.T) {
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	for _, example := range []struct {
		dir, function string
		args          []string
	}{
		{"embed", "main.work", nil},
		{"runtimepprof", "crypto/sha256.Sum256", []string{"-window", "500ms"}},
	} {
		for transport, endpoint := range map[string]string{"grpc": b.GRPCEndpoint(), "http": b.HTTPEndpoint()} {
			t.Run(example.dir+" over "+transport, func(t *testing.T) {
				before := len(b.Requests(otlp.Profiles))
				out, err := exec.Command(built(t, "./"+example.dir), append([]string{"-to", endpoint, "-for", "1500ms"}, example.args...)...).CombinedOutput()
				if err != nil || !strings.Contains(string(out), "acknowledged, dropped: map[]") {
					t.Fatalf("%v\n%s", err, out)
				}
				found := false
				requests := b.Requests(otlp.Profiles)[before:]
				for _, request := range requests {
					testkit.CheckProfiles(t, request)
					for _, s := range testkit.ProfileSamples(t, request) {
						found = found || strings.Contains(s.Stack, example.function)
					}
				}
				if len(requests) == 0 || !found {
					t.Errorf("%d requests arrived, none with %s\n%s", len(requests), example.function, out)
				}
			})
		}
	}
}
