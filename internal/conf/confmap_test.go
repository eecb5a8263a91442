package conf

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/penstock-telemetry/penstock/config"
)

// The cases in testdata/confmap-v1.70.0.json were recorded from
// go.opentelemetry.io/collector/confmap v1.70.0 with its env, yaml and file providers and env as the
// default scheme, decoding into a struct like recorded below with the same defaults.
// A record holds the sources, the effective tree, the fields that decoding changed, and the step
// that failed.
type record struct {
	In      []string
	Fails   string // "", "load" or "decode"
	Tree    any
	Changes map[string]any
}

type recordedSub struct {
	A string
	B int
}

// recordedWithDefaults was recorded with confmap's configoptional.Default.
type recordedWithDefaults recordedSub

func (r *recordedWithDefaults) SetDefaults() { *r = recordedWithDefaults{A: "oda", B: 4} }

type recorded struct {
	S   string
	O   config.Secret
	PS  *string
	I   int
	U8  uint8
	F   float64
	B   bool
	D   time.Duration
	L   []string
	LI  []int
	M   map[string]string
	Sub recordedSub
	P   *recordedSub
	MP  map[string]*recordedSub
	MS  map[string]recordedSub
	ON  *recordedSub          `config:"section"`
	OD  *recordedWithDefaults `config:"section"`
	OI  *int
	Any any
}

func recordedDefaults() recorded {
	return recorded{
		S: "def", O: "odef", I: 7, U8: 8, F: 1.5, B: true, D: time.Second, L: []string{"x"}, LI: []int{9},
		M: map[string]string{"k": "v"}, Sub: recordedSub{A: "sa", B: 3},
		MS: map[string]recordedSub{"z": {A: "za", B: 1}},
	}
}

// deviations are the cases in which penstock differs on purpose, with its
// results and the reasons.
func deviations() map[string]record {
	const load, decode = "load", "decode"
	type fields = map[string]any
	changes := func(key string, value any) record { return record{Changes: map[string]any{key: value}} }
	return map[string]record{
		// Text may be written without quotes, and a quoted number is a number.
		"s: 5":                          changes("S", "5"),
		"s: true":                       changes("S", "true"),
		"s: 1.50":                       changes("S", "1.50"),
		"s: 2023-01-01":                 {Tree: fields{"s": "2023-01-01"}, Changes: fields{"S": "2023-01-01"}},
		"o: 5":                          changes("O", "5"),
		"l: [1, true]":                  changes("L", []any{"1", "true"}),
		"l: ${env:LIST}":                changes("L", []any{"1", "two"}),
		"m: {a: 1}":                     changes("M", map[string]any{"a": "1", "k": "v"}),
		"i: '5'":                        changes("I", 5),
		"f: '3'":                        changes("F", 3),
		"b: 'true'":                     {},
		"on: {enabled: 'true'}":         changes("ON", map[string]any{"A": "", "B": 0}),
		"s: &x 5\ni: *x":                {Changes: map[string]any{"S": "5", "I": 5}},
		"sub: {<<: {a: 1, b: 2}, b: 3}": changes("Sub", map[string]any{"A": "1", "B": 3}),
		// A ${...} in quotes is text, whatever it contains; where a list or a map is needed, it
		// is parsed.
		"s: '${env:INT}'":                   {Tree: fields{"s": "42"}, Changes: fields{"S": "42"}},
		"i: '${env:INT}'":                   {Tree: fields{"i": "42"}, Changes: fields{"I": 42}},
		"m: {a: '${env:INT}'}":              {Tree: fields{"m": fields{"a": "42"}}, Changes: fields{"M": fields{"a": "42", "k": "v"}}},
		"l: ['${env:STR}', '${env:UNSET}']": {Tree: fields{"l": []any{"abc", ""}}, Changes: fields{"L": []any{"abc", ""}}},
		"any: '${env:LIST}'":                {Tree: fields{"any": "[1, two]"}, Changes: fields{"Any": "[1, two]"}},
		"any: ${env:MAPREF}":                {Tree: fields{"any": fields{"a": "abc", "b": "42"}}, Changes: fields{"Any": fields{"a": "abc", "b": "42"}}},
		"m: ${env:MAPREF}":                  {Tree: fields{"m": fields{"a": "abc", "b": "42"}}, Changes: fields{"M": fields{"a": "abc", "b": "42", "k": "v"}}},
		"s: ${env:MAPREF}":                  {Tree: fields{"s": fields{"a": "abc", "b": "42"}}, Changes: fields{"S": `{a: "abc", b: '42'}`}},
		"any: {a: '${env:INT}', b: [x, '${env:BOOL}']}": {
			Tree:    fields{"any": fields{"a": "42", "b": []any{"x", "true"}}},
			Changes: fields{"Any": fields{"a": "42", "b": []any{"x", "true"}}},
		},
		// A date is text as it is written.
		"any: 2023-01-01": {Tree: fields{"any": "2023-01-01"}, Changes: fields{"Any": "2023-01-01"}},
		"s: ${env:TS}":    {Tree: fields{"s": "2023-03-20"}, Changes: fields{"S": "2023-03-20"}},
		// The content of a variable is not a text of a configuration: $$ in it is two
		// dollars, and a $ at its end does not begin a ${...}.
		"s: ${env:DOLLAR}":               {Tree: fields{"s": "a$$b$c"}, Changes: fields{"S": "a$$b$c"}},
		"any: ${env:DOLLARMAP}":          {Tree: fields{"any": fields{"a": "x$$y"}}, Changes: fields{"Any": fields{"a": "x$$y"}}},
		"s: ${env:DOLLARMAP}":            {Tree: fields{"s": fields{"a": "x$$y"}}, Changes: fields{"S": "{a: x$$y}"}},
		"s: '${env:ONEDOLLAR}{env:STR}'": {Tree: fields{"s": "${env:STR}"}, Changes: fields{"S": "${env:STR}"}},
		// Values that would lose information are errors: fractions, numbers out
		// of range, nanoseconds.
		"i: 5.7":          {Fails: decode},
		"i: ${env:FLOAT}": {Fails: decode},
		"u8: 300":         {Fails: decode},
		"d: 5":            {Fails: decode},
		"d: 1.5":          {Fails: decode},
		// null sets a pointer to a struct to its defaults; null from a variable
		// is like null in the file.
		"p:":                changes("P", map[string]any{"A": "", "B": 0}),
		"sub: ${env:UNSET}": {},
		"sub: ${env:NULLV}": {},
		"on: ${env:UNSET}":  {},
		// Errors that the Collector treats as text, or reports later.
		"s: ${STR":  {Fails: load},
		"a::::b: 1": {Fails: load},
		"1: x":      {Fails: decode},
	}
}

func TestConfmapRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/confmap-v1.70.0.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Env   map[string]string
		Cases []record
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	known := deviations()
	for _, want := range file.Cases {
		name := strings.Join(want.In, " + ")
		t.Run(name, func(t *testing.T) {
			if instead, ok := known[name]; ok {
				if cmp.Equal(instead.Changes, want.Changes) && instead.Fails == want.Fails && instead.Tree == nil {
					t.Fatal("the result is the Collector's: this is not a deviation")
				}
				instead.In = want.In
				if instead.Tree == nil {
					instead.Tree = want.Tree
				} else if cmp.Equal(asJSON(instead.Tree), asJSON(want.Tree)) {
					t.Fatal("the tree is the Collector's: this is not a deviation")
				}
				want = instead
			}
			got := runRecorded(want.In, file.Env)
			if got.Fails != want.Fails {
				t.Fatalf("fails: %q, want %q", got.Fails, want.Fails)
			}
			if want.Tree == nil {
				want.Tree = map[string]any{} // left out in the record
			}
			if want.Fails == "" {
				if diff := cmp.Diff(asJSON(want.Tree), got.Tree); diff != "" {
					t.Errorf("tree (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(asJSON(want.Changes), asJSON(got.Changes)); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
		})
		delete(known, name)
	}
	for name := range known {
		t.Errorf("no case for the deviation %q", name)
	}
}

func runRecorded(in []string, env map[string]string) record {
	o := testOptions(env, nil)
	for _, text := range in {
		o.Sources = append(o.Sources, "yaml:"+text)
	}
	tree, err := Load(o)
	if err != nil {
		return record{Fails: "load"}
	}
	got := record{Tree: asJSON(tree.Root().Raw())}
	before, after := recordedDefaults(), recordedDefaults()
	if err := tree.Root().Decode(&after); err != nil {
		got.Fails = "decode"
		return got
	}
	for i := range reflect.TypeFor[recorded]().NumField() {
		was, is := plainOf(reflect.ValueOf(before).Field(i)), plainOf(reflect.ValueOf(after).Field(i))
		if !cmp.Equal(was, is) {
			if got.Changes == nil {
				got.Changes = map[string]any{}
			}
			got.Changes[reflect.TypeFor[recorded]().Field(i).Name] = is
		}
	}
	return got
}

func plainOf(v reflect.Value) any {
	if secret, ok := v.Interface().(config.Secret); ok {
		return string(secret)
	}
	return asJSON(v.Interface())
}

// asJSON converts equal values of different types to the same Go type.
func asJSON(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		panic(err)
	}
	return plain
}

// testOptions loads from maps instead of the environment and the disk.
func testOptions(env, files map[string]string) Options {
	return Options{
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return []byte(text), nil
			}
			return nil, errors.New("open " + path + ": no such file")
		},
		Fetch: func(url string) ([]byte, error) { return nil, errors.New("get " + url + ": no network") },
	}
}
