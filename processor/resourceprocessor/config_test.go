package resourceprocessor

import (
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func decode(t *testing.T, text string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, text, &cfg)
	return cfg, err
}

func TestConfigOfTheCollectorIsRead(t *testing.T) {
	cfg, err := decode(t, `
attributes:
- {key: s, value: text, action: UPSERT}
- {key: i, value: 3, action: insert}
- {key: b, value: false, action: insert}
- {key: d, value: 2.5, action: insert}
- {key: l, value: [a, 1, {k: v}], action: insert}
- {key: c, from_attribute: s, default_value: none, action: update}
- {pattern: "^x", action: delete}
`)
	if err != nil {
		t.Fatal(err)
	}
	next := &testkit.Sink{}
	p := newProcessor(t, next, cfg.Attributes...)
	if p.Capabilities().MutatesData {
		t.Errorf("capabilities %+v", p.Capabilities())
	}
	b := newBatch(t, 1, traces(1, "c", "old", "xyz", "1"))
	defer b.Release()
	if err := p.Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got, want := attributesOf(1, next.Requests(1)[0]), `c=text s=text i=3 b=false d=2.5 l=["a",1,{"k":"v"}]`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestConfigErrorsSayWhatIsWrong(t *testing.T) {
	deep := strings.Repeat("[", 50) + "1" + strings.Repeat("]", 50)
	tests := map[string]string{
		`{}`: "attributes: expected a list of actions",
		`attributes: [{value: x, action: insert}]`:                                  "insert needs a key",
		`attributes: [{key: k, value: x}]`:                                          "the action is missing",
		`attributes: [{key: k, value: x, action: put}]`:                             `unknown action "put"`,
		`attributes: [{action: hash}]`:                                              "hash needs a key, a pattern, or both",
		`attributes: [{key: k, action: hash, value: 1}]`:                            `hash of "k" takes no value`,
		`attributes: [{key: k, action: hash, converted_type: int}]`:                 "hash takes no converted_type",
		`attributes: [{key: k, action: hash, pattern: "("}]`:                        "pattern: ",
		`attributes: [{key: k, action: extract}]`:                                   "all groups have names",
		`attributes: [{key: k, action: extract, pattern: "x"}]`:                     "all groups have names",
		`attributes: [{key: k, action: extract, pattern: "(x)(?P<n>y)"}]`:           "all groups have names",
		`attributes: [{key: k, action: extract, pattern: "(?P<n>y"}]`:               "pattern: ",
		`attributes: [{action: extract, pattern: "(?P<n>y)"}]`:                      "extract needs a key",
		`attributes: [{key: k, action: extract, pattern: "(?P<n>y)", value: 1}]`:    `extract of "k" takes no value`,
		`attributes: [{key: k, action: convert}]`:                                   "converted_type: expected string, int or double",
		`attributes: [{key: k, action: convert, converted_type: bool}]`:             `expected string, int or double, found "bool"`,
		`attributes: [{action: convert, converted_type: int}]`:                      "convert needs a key",
		`attributes: [{key: k, action: convert, converted_type: int, pattern: x}]`:  "convert takes no pattern",
		`attributes: [{key: k, action: convert, converted_type: int, value: 1}]`:    `convert of "k" takes no value`,
		`attributes: [{key: k, action: insert}]`:                                    "needs one of value, from_attribute, from_context and default_value",
		`attributes: [{key: k, action: insert, value: null}]`:                       "needs one of value",
		`attributes: [{key: k, action: upsert, value: 1, from_attribute: x}]`:       "both a value and a from_attribute",
		`attributes: [{key: k, action: insert, from_context: auth.x, value: 1}]`:    "beside from_context",
		`attributes: [{key: k, action: insert, value: 1, pattern: x}]`:              "insert takes no pattern",
		`attributes: [{key: k, action: insert, value: 1, converted_type: int}]`:     "insert takes no converted_type",
		`attributes: [{action: delete}]`:                                            "delete needs a key, a pattern, or both",
		`attributes: [{key: k, action: delete, value: 1}]`:                          "delete of \"k\" takes no value",
		`attributes: [{key: k, action: delete, pattern: "("}]`:                      "pattern: ",
		`attributes: [{key: k, action: insert, value: 18446744073709551615}]`:       "integer of 64 bits",
		`attributes: [{key: k, action: insert, value: ` + deep + `}]`:               "value of 102 nested messages, expected at most 100",
		`attributes: [{key: k, action: update, default_value: [2024-01-01], x: 1}]`: "unknown key",
	}
	for text, want := range tests {
		cfg, err := decode(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, expected %q", text, err, want)
		}
		if strings.Contains(text, "x: 1") {
			continue // only the decoder sees unknown keys
		}
		if _, err := New(cfg, component.Settings{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New with %s: got %v, expected %q", text, err, want)
		}
	}
}
