package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Scripts depend on the exit code.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	yes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	t.Cleanup(yes.Close)
	at := yes.Listener.Addr().String()
	tests := []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-list", "-only", "^http/head/http/"}, 0, "http/head/http/profiles"},
		{[]string{"-http", at, "-only", "^tolerated/plain/http/traces$", "-spec"}, 0, "tolerated"},
		{[]string{"-http", at, "-only", "^http/head/http/traces$", "-v"}, 1, "FAIL http/head/http/traces: got 200, want 405"},
		{[]string{"-http", at, "-only", "^http/head/http/traces$", "-json"}, 1, `"wrong":["got 200, want 405"`},
		{[]string{"-signals", "traces"}, 2, "expected -grpc or -http"},
		{[]string{"-http", at, "-signals", "events"}, 2, "unknown signal"},
		{[]string{"-http", at, "-only", "("}, 2, "-only"},
		{[]string{"-http", at, "-cases", t.TempDir()}, 2, "found none"},
		{[]string{"-nonsense"}, 2, "nonsense"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		if code := run(t.Context(), tt.args, &out, &out); code != tt.code || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%v: exit %d, want %d, and %q in\n%s", tt.args, code, tt.code, tt.says, out.String())
		}
	}
}
