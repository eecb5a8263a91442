package headerssetterextension

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func newExtension(t *testing.T, yaml string, others map[string]any) (*Extension, error) {
	t.Helper()
	cfg := DefaultConfig()
	if err := testkit.Decode(t, yaml, &cfg); err != nil {
		return nil, err
	}
	return New(cfg, component.Settings{ID: "headers_setter", Extension: func(id string) (any, bool) { e, ok := others[id]; return e, ok }})
}

func TestActionsAndSources(t *testing.T) {
	t.Parallel()
	client := &pipeline.Client{
		Metadata: map[string][]string{"x-tenant": {"acme"}, "several": {"a", "b"}, "empty": {""}},
		Identity: &pipeline.Identity{Subject: "ann", Attributes: map[string]string{"membership": "ops"}},
	}
	for header, want := range map[string]string{
		"{key: New, value: v}":                                       "new=v old=o",
		"{key: OLD, value: v}":                                       "old=v",
		"{key: OLD, value: v, action: upsert}":                       "old=v",
		"{key: old, value: v, action: insert}":                       "old=o",
		"{key: new, value: v, action: insert}":                       "new=v old=o",
		"{key: old, value: v, action: update}":                       "old=v",
		"{key: new, value: v, action: update}":                       "old=o",
		"{key: Old, action: delete}":                                 "",
		"{key: new, from_context: X-Tenant}":                         "new=acme old=o",
		"{key: new, from_context: x-other}":                          "old=o",
		"{key: new, from_context: x-other, default_value: d}":        "new=d old=o",
		"{key: new, from_context: empty, default_value: d}":          "new=d old=o",
		"{key: new, from_context: several}":                          `header "new": 2 values of "several" in the incoming request, expected one`,
		"{key: new, from_attribute: subject}":                        "new=ann old=o",
		"{key: new, from_attribute: membership, default_value: d}":   "new=ops old=o",
		"{key: new, from_attribute: other, default_value: d}":        "new=d old=o",
		"{key: new, value: ''}":                                      "old=o",
		"{key: new, value: a}, {key: new, value: b, action: update}": "new=b old=o",
	} {
		e, err := newExtension(t, "{headers: ["+header+"]}", nil)
		if err != nil {
			t.Errorf("%s: %v", header, err)
			continue
		}
		headers := map[string]string{"old": "o"}
		got := ""
		if err := e.AddCredentials(t.Context(), client, headers); err != nil {
			if got = err.Error(); pipeline.Classify(err).Kind != pipeline.Permanent {
				t.Errorf("%s: %v is not permanent", header, err)
			}
		} else {
			got = strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(headers), "map["), "]")
			got = strings.ReplaceAll(got, ":", "=")
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", header, got, want)
		}
	}
	// A batch that was made in this process has no client.
	e, err := newExtension(t, "{headers: [{key: a, from_context: x, default_value: d}, {key: b, from_attribute: subject}]}", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []*pipeline.Client{nil, {}} {
		headers := map[string]string{}
		if err := e.AddCredentials(t.Context(), client, headers); err != nil || !cmp.Equal(headers, map[string]string{"a": "d"}) {
			t.Errorf("got %v, %v", headers, err)
		}
	}
}

type other func(map[string]string) error

func (o other) AddCredentials(_ context.Context, _ *pipeline.Client, headers map[string]string) error {
	return o(headers)
}

// additional_auth adds its credentials before the headers, and its failure is the result.
func TestAdditionalAuth(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	others := map[string]any{
		"ok":    other(func(h map[string]string) error { h["authorization"] = "abc"; return nil }),
		"fails": other(func(map[string]string) error { return boom }),
		"not":   1,
	}
	for id, want := range map[string]string{"ok": "", "fails": "boom", "not": "authenticator not found", "none": "authenticator not found"} {
		e, err := newExtension(t, "{additional_auth: "+id+", headers: [{key: authorization, value: x, action: insert}]}", others)
		if err != nil {
			t.Fatal(err)
		}
		headers := map[string]string{}
		err = e.AddCredentials(t.Context(), nil, headers)
		if want == "" && (err != nil || headers["authorization"] != "abc") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, %v", id, headers, err)
		}
	}
	// A cycle ends.
	e, err := newExtension(t, "{additional_auth: again, headers: [{key: a, value: b}]}", others)
	if err != nil {
		t.Fatal(err)
	}
	others["again"] = e
	if err := e.AddCredentials(t.Context(), nil, map[string]string{}); err == nil || err.Error() != "additional_auth forms a cycle" {
		t.Errorf("a cycle: %v", err)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"{}":                                  "missing headers configuration",
		"{headers: []}":                       "missing headers configuration",
		"{headers: [{value: a}]}":             "missing header name",
		"{headers: [{key: 'a b', value: a}]}": "expected the name of a header",
		"{headers: [{key: a}]}":               "missing header source",
		"{headers: [{key: a, value: b, from_context: c}]}":                 "invalid header source",
		"{headers: [{key: a, value: \"b\\nc\"}]}":                          "without control characters",
		"{headers: [{key: a, value: b, action: append}]}":                  `expected insert, update, upsert or delete, found "append"`,
		"{additional_auth: headers_setter, headers: [{key: a, value: b}]}": "expected another extension, found this one",
	} {
		if _, err := newExtension(t, yaml, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", yaml, err, want)
		}
	}
}
