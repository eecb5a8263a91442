package otlpexporter

import (
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// user_agent replaces the header, unless headers has it too.
func TestUserAgent(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]string{
		"user_agent: mine/1": "mine/1",
		"user_agent: mine/1, headers: {User-Agent: yours/2}": "yours/2",
		"user_agent: ''": "penstock/",
	} {
		backend := testkit.NewBackend(t, testkit.BackendConfig{})
		cfg := DefaultConfig()
		if err := testkit.Decode(t, "{endpoint: '"+backend.GRPCEndpoint()+"', tls: {insecure: true}, "+keys+"}", &cfg); err != nil {
			t.Fatal(err)
		}
		e, err := New(cfg, component.Settings{ID: "otlp"})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := testkit.PooledBatch(t, otlp.Traces, []byte{0x0a, 0}, nil)
		if err := e.Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		b.Release()
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := strings.Join(backend.Calls()[0].Header["user-agent"], " "); !strings.HasPrefix(got, want) {
			t.Errorf("%s: user-agent %q, want %q", keys, got, want)
		}
	}
}
