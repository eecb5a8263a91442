package conf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/penstock-telemetry/penstock/config"
)

// load parses text as a file named t.yaml.
func load(t testing.TB, text string) *Node {
	t.Helper()
	o := testOptions(nil, map[string]string{"t.yaml": text})
	o.Sources = []string{"t.yaml"}
	tree, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return tree.Root()
}

func TestNode(t *testing.T) {
	t.Parallel()
	root := load(t, "b:\n  - x\n  - {k: 0x1F, \"a.b\": 1.50}\na: true\nempty:\n")
	var keys []string
	for _, n := range root.Children() {
		keys = append(keys, n.Key())
	}
	if diff := cmp.Diff([]string{"b", "a", "empty"}, keys); diff != "" {
		t.Errorf("order of keys (-want +got):\n%s", diff)
	}
	var item *Node
	for _, item = range root.Get("b").Children() {
	}
	for _, test := range []struct {
		node           *Node
		kind           Kind
		text, path     string
		pos, keyPos    string
		children, size int
	}{
		{root, Map, "", "", "t.yaml:1:1", "t.yaml:1:1", 3, 3},
		{root.Get("a"), Bool, "true", "a", "t.yaml:4:4", "t.yaml:4:1", 0, 0},
		{root.Get("empty"), Null, "", "empty", "t.yaml:5:7", "t.yaml:5:1", 0, 0},
		{item, Map, "", "b[1]", "t.yaml:3:5", "t.yaml:3:5", 2, 2},
		{item.Get("k"), Int, "0x1F", "b[1].k", "t.yaml:3:9", "t.yaml:3:6", 0, 0},
		{item.Get("a.b"), Float, "1.50", `b[1]["a.b"]`, "t.yaml:3:22", "t.yaml:3:15", 0, 0},
		{root.Get("b", "k"), Null, "", "", "", "", 0, 0},
		{root.Get("a", "b", "c"), Null, "", "", "", "", 0, 0},
	} {
		n := test.node
		if n.Kind() != test.kind || n.Text() != test.text || n.Path() != test.path || n.Len() != test.children {
			t.Errorf("%s: kind %v, text %q, path %q, %d children", test.path, n.Kind(), n.Text(), n.Path(), n.Len())
		}
		if n.Pos().String() != test.pos || n.KeyPos().String() != test.keyPos {
			t.Errorf("%s: at %q, key at %q, want %q, %q", test.path, n.Pos(), n.KeyPos(), test.pos, test.keyPos)
		}
	}
	want := map[string]any{"a": true, "b": []any{"x", map[string]any{"k": 31, "a.b": 1.5}}, "empty": nil}
	if diff := cmp.Diff(want, root.Raw()); diff != "" {
		t.Errorf("Raw (-want +got):\n%s", diff)
	}
}

func TestErrorsSortAndUnwrap(t *testing.T) {
	t.Parallel()
	o := testOptions(nil, map[string]string{"b.yaml": "x: 1\ny: 2", "a.yaml": "z: 3"})
	o.Sources = []string{"b.yaml", "a.yaml"}
	tree, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	var es Errors
	if es.Add(nil); es.Err() != nil {
		t.Error("an empty Errors is an error")
	}
	for _, key := range []string{"z", "y", "x", "y"} {
		es.Add(tree.Root().Get(key).Errorf("bad: %w", fs.ErrInvalid))
	}
	es.Add(errors.Join(errors.New("no position"), tree.Root().Get("x").KeyErrorf("key")))
	es.Add(fmt.Errorf("%w and %w", errors.New("one"), errors.New("error")))
	got := es.Err()
	want := "no position\none and error\nb.yaml:1:1: x: key\nb.yaml:1:4: x: bad: invalid argument\n" +
		"b.yaml:2:4: y: bad: invalid argument\na.yaml:1:4: z: bad: invalid argument"
	if got.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", got, want)
	}
	var first *Error
	if !errors.Is(got, fs.ErrInvalid) || !errors.As(got, &first) {
		t.Error("errors.Is or errors.As does not find the parts")
	}
	for range 100 {
		es.Add(errors.New(strings.Repeat("x", len(es))))
	}
	if lines := strings.Split(es.Err().Error(), "\n"); len(lines) != 51 || !strings.HasPrefix(lines[50], "and ") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func TestDecodeKeepsDefaults(t *testing.T) {
	t.Parallel()
	type inner struct{ A, B int }
	type outer struct {
		Inner   inner
		Pointer *inner
		Map     map[string]inner
		List    []int
		Any     any
		Node    *Node
		Wait    *time.Duration
		hidden  int
		Skipped int `yaml:"-"`
	}
	shared := &inner{A: 1, B: 2}
	sharedMap := map[string]inner{"x": {A: 1}}
	got := outer{Inner: inner{1, 2}, Pointer: shared, Map: sharedMap, List: []int{1, 2, 3}, hidden: 5, Skipped: 6}
	root := load(t, "inner: {a: 7}\npointer: {a: 8}\nmap: {y: {b: 9}}\nlist: [4]\nany: [1, x]\nnode: {q: r}\nwait: 3s\n")
	if err := root.Decode(&got); err != nil {
		t.Fatal(err)
	}
	wait := 3 * time.Second
	want := outer{
		Inner: inner{7, 2}, Pointer: &inner{8, 2}, Map: map[string]inner{"x": {A: 1}, "y": {B: 9}}, List: []int{4},
		Any: []any{1, "x"}, Node: root.Get("node"), Wait: &wait, hidden: 5, Skipped: 6,
	}
	same := cmp.Comparer(func(a, b *Node) bool { return a == b })
	if diff := cmp.Diff(want, got, same, cmp.AllowUnexported(outer{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if *shared != (inner{1, 2}) || len(sharedMap) != 1 {
		t.Errorf("shared defaults were changed: %v, %v", *shared, sharedMap)
	}
	before := got
	if err := root.Get("absent").Decode(&got); err != nil || !cmp.Equal(before, got, same, cmp.AllowUnexported(outer{})) {
		t.Errorf("an absent node changed the target: %v, %+v", err, got)
	}
	if err := load(t, "skipped: 1").Decode(&got); err == nil {
		t.Error(`a field with the tag "-" has a key`)
	}
}

func TestDecodeScalars(t *testing.T) {
	t.Parallel()
	type target struct {
		I8  int8
		I64 int64
		U8  uint8
		U64 uint64
		F32 float32
		F64 float64
		B   bool
		S   string
		D   time.Duration
	}
	for _, test := range []struct {
		text string
		want any // a target, or the end of the error
	}{
		{"i8: -128", target{I8: -128}},
		{"i8: 1e2", target{I8: 100}},
		{"i8: 128", "expected an integer between -128 and 127, found 128 (integer)"},
		{"i8: 0.5", "expected an integer between -128 and 127, found 0.5 (number)"},
		{"i8: [1]", "expected an integer between -128 and 127, found a list"},
		{"i64: '0x10'", target{I64: 16}},
		{"i64: 9223372036854775807", target{I64: 1<<63 - 1}},
		{"i64: 9223372036854775808", "expected an integer, found 9223372036854775808 (integer)"},
		{"i64: 1e19", "expected an integer, found 1e19 (number)"},
		{"i64: .nan", "expected an integer, found .nan (number)"},
		{"i64: ten", `expected an integer, found "ten" (string)`},
		{"i64: ''", `expected an integer, found "" (string)`},
		{"u8: 255.0", target{U8: 255}},
		{"u8: 256", "expected an integer between 0 and 255, found 256 (integer)"},
		{"u64: 18446744073709551615", target{U64: 1<<64 - 1}},
		{"u64: -1", "expected an integer that is not negative, found -1 (integer)"},
		{"u64: -1.0", "expected an integer that is not negative, found -1.0 (number)"},
		{"u64: 18446744073709551616", "expected an integer that is not negative, found 18446744073709551616 (number)"},
		{"f32: 1", target{F32: 1}},
		{"f64: '1e3'", target{F64: 1000}},
		{"f64: x", `expected a number, found "x" (string)`},
		{"b: TRUE", target{B: true}},
		{"b: 'false'", target{}},
		{"b: 1", "expected true or false, found 1 (integer)"},
		{"s: 0o17", target{S: "0o17"}},
		{"s: FALSE", target{S: "FALSE"}},
		{"s: {}", "expected a string, found a map"},
		{"d: '0'", target{}},
		{"d: 0", target{}},
		{"d: -1h30m", target{D: -90 * time.Minute}},
		{"d: 30", `expected a duration such as "5s", found 30 (integer) without a unit; for seconds write "30s"`},
		{"d: 1.5", `expected a duration such as "5s", found 1.5 (number)`},
		{"d: 5 s", `expected a duration such as "5s", found "5 s" (string)`},
	} {
		var got target
		err := load(t, test.text).Decode(&got)
		if want, ok := test.want.(string); ok {
			if err == nil || !strings.HasSuffix(err.Error(), ": "+want) {
				t.Errorf("%s: got %v, want %s", test.text, err, want)
			}
		} else if err != nil || got != test.want {
			t.Errorf("%s: got %+v, %v", test.text, got, err)
		}
	}
}

// withHook has DecodeConfig, which decodes its fields through a type without
// methods.
type withHook struct {
	A int
	B int
}

func (w *withHook) SetDefaults() { w.B = 5 }

func (w *withHook) DecodeConfig(n config.Value) error {
	type plain withHook
	if err := n.Decode((*plain)(w)); err != nil {
		return err
	}
	if w.A == 13 {
		return config.Atf("a", "rejected")
	}
	return nil
}

func TestDecodeHooks(t *testing.T) {
	t.Parallel()
	type target struct {
		One  withHook
		List []withHook
		Map  map[string]*withHook
		Opt  *withHook `config:"section"`
	}
	var got target
	if err := load(t, "one: {a: 1}\nlist: [{a: 2}, {b: 3}]\nmap: {x: }\nopt: {a: 4}").Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := target{withHook{1, 0}, []withHook{{2, 5}, {0, 3}}, map[string]*withHook{"x": {0, 5}}, &withHook{4, 5}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err := load(t, "one: {a: 13}\nlist: [{c: 1}]\nopt: {a: x}").Decode(&got)
	wantErr := "t.yaml:1:10: one.a: rejected\n" +
		"t.yaml:2:9: list[0].c: unknown key (known: a, b)\n" +
		"t.yaml:3:10: opt.a: expected an integer, found \"x\" (string)"
	if err == nil || err.Error() != wantErr {
		t.Errorf("got\n%v\nwant\n%s", err, wantErr)
	}
}

// checked returns an error for the field that Bad names.
type checked struct {
	Bad  string
	Part *checked
	Opt  *checkedLeaf `config:"section"`
	List []checkedLeaf
	Map  map[string]checkedLeaf
	Held Inlined `yaml:",inline"`
}

type Inlined struct{ Extra checkedLeaf }

type checkedLeaf struct{ N int }

func (c *checked) Validate() error {
	if c.Bad != "" {
		return config.At(c.Bad, errors.New("bad"))
	}
	return nil
}

func (c checkedLeaf) Validate() error {
	if c.N < 0 {
		return config.At("n", errors.New("negative"))
	}
	return nil
}

func TestValidate(t *testing.T) {
	t.Parallel()
	text := "bad: opt.missing\npart: {bad: bad}\nopt: {n: -1}\nlist: [{n: 0}, {n: -2}]\nmap: {k: {n: -3}}\n"
	c := checked{Held: Inlined{Extra: checkedLeaf{-4}}}
	c.Part = &checked{} // its Opt is not present, so not checked
	err := load(t, text).Decode(&c)
	want := "t.yaml:1:1: extra.n: negative\n" +
		"t.yaml:2:13: part.bad: bad\n" +
		"t.yaml:3:6: opt.missing: bad\n" +
		"t.yaml:3:10: opt.n: negative\n" +
		"t.yaml:4:20: list[1].n: negative\n" +
		"t.yaml:5:14: map.k.n: negative"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	leaf := checkedLeaf{-1}
	if err := (*Node)(nil).Decode(&leaf); err == nil || err.Error() != "n: negative" {
		t.Errorf("absent section: %v", err)
	}
}

// withDefaults is a Defaulter: null means its defaults.
type withDefaults struct{ A, B int }

func (w *withDefaults) SetDefaults() { *w = withDefaults{1, 2} }

func TestSection(t *testing.T) {
	t.Parallel()
	type part struct{ A, B int }
	type target struct {
		None    *part         `config:"section"`
		Default *withDefaults `config:"section"`
		Some    *part         `config:"section"`
	}
	some := &part{3, 4}
	for _, test := range []struct {
		text string
		want target
	}{
		{"", target{Some: &part{3, 4}}},
		{"none: \ndefault: \nsome: ", target{nil, &withDefaults{1, 2}, &part{3, 4}}},
		{"none: {}\ndefault: {}\nsome: {}", target{&part{}, &withDefaults{1, 2}, &part{3, 4}}},
		{"none: {a: 9}\ndefault: {a: 9}\nsome: {a: 9}", target{&part{9, 0}, &withDefaults{9, 2}, &part{9, 4}}},
		{"none: {enabled: true}\ndefault: {enabled: true}", target{&part{}, &withDefaults{1, 2}, &part{3, 4}}},
		{"none: {enabled: false}\ndefault: {enabled: false, a: 1}\nsome: {enabled: false}", target{}},
	} {
		got := target{Some: some}
		if err := load(t, test.text).Decode(&got); err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
	if *some != (part{3, 4}) {
		t.Errorf("decoding changed the target of the default's pointer: %+v", *some)
	}
	for name, into := range map[string]any{
		"a key named enabled": &struct {
			A *struct{ Enabled bool } `config:"section"`
		}{},
		"not a pointer": &struct {
			A part `config:"section"`
		}{},
		"not a pointer to a struct": &struct {
			A *int `config:"section"`
		}{},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a section with %s is accepted", name)
				}
			}()
			_ = load(t, "a: {}").Decode(into)
		}()
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	const secret, redacted = "hunter2", "[REDACTED]"
	type holder struct {
		Key  config.Secret
		Map  map[string]config.Secret
		Opt  *config.Secret
		Deep *config.ServerTLS `config:"section"`
	}
	var h holder
	if err := load(t, "key: hunter2\nmap: {a: hunter2}\nopt: hunter2\ndeep: {key_pem: hunter2, cert_pem: hunter2}").Decode(&h); err != nil {
		t.Fatal(err)
	}
	if string(h.Key) != secret || string(h.Map["a"]) != secret || string(*h.Opt) != secret || string(h.Deep.KeyPem) != secret {
		t.Fatalf("the secrets did not arrive: %#v", h)
	}
	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s", "%T%v"} {
		for _, v := range []any{h, &h, h.Key, h.Map, []config.Secret{h.Key}, *h.Opt, h.Opt, *h.Deep, h.Deep} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
	}
	printed = append(printed, h.Key.String(), h.Key.GoString())
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	yamlText, err := Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "key", h.Key, "all", h)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "key", h.Key, "all", h)
	printed = append(printed, string(text), string(yamlText), log.String())
	if v := slog.AnyValue(h.Key).Resolve(); v.Kind() != slog.KindString || v.String() != redacted {
		t.Errorf("slog gets %v", v)
	}
	hexed := fmt.Sprintf("%x", secret)
	for _, p := range printed {
		if low := strings.ToLower(p); strings.Contains(low, secret) || strings.Contains(low, hexed) {
			t.Errorf("the secret is in %q", p)
		}
	}
	for _, p := range []string{string(text), string(yamlText), log.String(), fmt.Sprint(h)} {
		if !strings.Contains(p, redacted) {
			t.Errorf("no %s in %q", redacted, p)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	chain := "a0: &a0 {x: 1}\n"
	for i := range 500 {
		chain += fmt.Sprintf("a%d: &a%d {<<: *a%d}\n", i+1, i+1, i)
	}
	env := map[string]string{"BIG": strings.Repeat("x", 1<<20), "SELF": "[${env:SELF}, ${env:SELF}]", "BOMB": bomb}
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"alias bomb":           {bomb, errTooManyNodes},
		"alias bomb in env":    {"a: ${env:BOMB}", errTooManyNodes},
		"deep list":            {"a: " + strings.Repeat("[", 300) + strings.Repeat("]", 300), errTooDeep},
		"deep key":             {"a" + strings.Repeat("::a", 300) + ": 1", errTooDeep},
		"merge chain":          {chain, errTooDeep},
		"large source":         {"a: " + strings.Repeat("x", maxSourceBytes), nil},
		"text multiplied":      {"a: " + strings.Repeat("${env:BIG}", 100), errTextTooLong},
		"many large values":    {"a: [" + strings.Repeat("\"${env:BIG}\", ", 100) + "]", errTextTooLong},
		"file including twice": {"a: ${file:self.yaml}", errChainTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(env, map[string]string{"t.yaml": test.text, "self.yaml": "{a: '${file:self.yaml}', b: '${file:self.yaml}'}"})
			o.Sources = []string{"t.yaml"}
			_, err := Load(o)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %.300v, want %v", err, test.want)
			}
		})
	}
}

// TestManyErrors checks that a file with many errors is processed quickly.
func TestManyErrors(t *testing.T) {
	t.Parallel()
	var unknown, unset, duplicate strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&unknown, "key%d: 1\n", i)
		fmt.Fprintf(&unset, "k%d: ${1}\n", i)
		fmt.Fprintf(&duplicate, "k: 1\n")
	}
	for _, text := range []string{unknown.String(), unset.String(), duplicate.String()} {
		o := testOptions(nil, map[string]string{"t.yaml": text})
		o.Sources = []string{"t.yaml"}
		tree, err := Load(o)
		if err == nil {
			err = tree.Root().Decode(&document{})
		}
		var all Errors
		if !errors.As(err, &all) || len(all) != maxErrors {
			t.Errorf("%.10q: %d errors, want %d", text, len(all), maxErrors)
		}
	}
}

func TestFilesAndSchemes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "penstock.yaml")
	if err := os.WriteFile(path, []byte("a: ${env:PENSTOCK_CONF_TEST_UNSET:-x}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{path, "file:" + path} {
		tree, err := Load(Options{Sources: []string{uri}})
		if err != nil || tree.Root().Get("a").Text() != "x" || tree.Root().Get("a").Pos().Source != path {
			t.Errorf("%s: %v", uri, err)
		}
	}
	_, err := Load(Options{Sources: []string{path + ".missing"}})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	o := testOptions(nil, map[string]string{`C:\penstock.yaml`: "a: 1", `C:penstock.yaml`: "a: 1"})
	for _, uri := range []string{`C:\penstock.yaml`, `file:C:\penstock.yaml`} {
		o.Sources = []string{uri}
		if tree, err := Load(o); err != nil || tree.Root().Get("a").Text() != "1" {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

func TestFileIsReadOnce(t *testing.T) {
	t.Parallel()
	reads := 0
	tree, err := Load(Options{
		Sources: []string{"yaml:a: ${file:x}\nb: ${file:./x}\nc: <${file:x}>"},
		ReadFile: func(string) ([]byte, error) {
			reads++
			return fmt.Append(nil, reads), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"a": 1, "b": 1, "c": "<1>"}, tree.Root().Raw()); diff != "" {
		t.Errorf("one file gave different contents (-want +got):\n%s", diff)
	}
}

// TestMarshalRoundTrip writes trees and reads them again: values, types and
// dollars do not change.
func TestMarshalRoundTrip(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"a: ['5', 5, 0x1F, 1.50, ~, '', 'null', 'yes', yes, true, 'true', 2020-01-01, '2020-01-01', .inf, !!binary /w==]",
		"a: [$, $$$$, '$$$${x}', '$${env:A}', 'a$$$$b', '$$}', '{$$', '$$${x}']",
		"a: [\"\\n\", \" x\\n\", \"x\\n\\n y\\t\\n\", \"\\x01\", \"é\", \"a: b\", \"#\", \"- x\", \"\\\\\"]",
		"{'': 0, ' ': 1, 'a b': 2, '1': 3, 'true': 4, '<<': 5, \"\\n\": 6, '$${x}': 7, '~': {}, 'l': []}",
		"a: !!float 5\nb: !!str 5\nc: {d: [[[]], {}]}",
	} {
		if strings.HasPrefix(text, "{") {
			text = "root: " + text
		}
		before := load(t, text)
		written, err := Marshal(before)
		if err != nil {
			t.Fatal(err)
		}
		after := load(t, string(written))
		if diff := cmp.Diff(before.Raw(), after.Raw()); diff != "" {
			t.Errorf("written as\n%s(-before +after):\n%s", written, diff)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("a: ${env:A}\nb: {<<: &x {c: 1}, d: *x}\n", "[1, ${env:B}]", "a.b=2")
	f.Add("a: \"x${env:B}${A}\"", "$${", "a::b={c: $}")
	f.Add("receivers: {otlp: {tls: {enabled: false}, timeout: 5}}", "1: !!int x", "")
	f.Add("a: !!binary x\n? [q]\n: z\n\t- b", "\xff\xfe", "=")
	f.Add("a: ${file:f}\nb: ${file:f}x", "k: ${file:f}", "x")
	f.Fuzz(func(t *testing.T, text, env, set string) {
		if len(text)+len(env)+len(set) > 4<<10 {
			t.Skip("too long")
		}
		o := testOptions(map[string]string{"A": env, "B": "${env:A}${env:A}"}, map[string]string{"f": env, "t.yaml": text})
		o.Sources, o.Set = []string{"t.yaml", "env:A"}, []string{set}
		tree, err := Load(o)
		if err != nil {
			_ = err.Error()
			return
		}
		var c document
		if err := tree.Root().Decode(&c); err == nil {
			if _, err := Marshal(c); err != nil {
				t.Errorf("the struct cannot be written: %v", err)
			}
		}
		written, err := Marshal(tree)
		if err != nil {
			t.Fatalf("the tree cannot be written: %v", err)
		}
		o = testOptions(nil, map[string]string{"t.yaml": string(written)})
		o.Sources = []string{"t.yaml"}
		again, err := Load(o)
		if err != nil {
			t.Fatalf("the output cannot be read: %v\n%s", err, written)
		}
		if diff := cmp.Diff(fmt.Sprint(tree.Root().Raw()), fmt.Sprint(again.Root().Raw())); diff != "" {
			t.Fatalf("written as\n%s(-before +after):\n%s", written, diff)
		}
	})
}

// Every file and URL that is read, or cannot be read, is reported once.
func TestReadIsReported(t *testing.T) {
	t.Parallel()
	var got []string
	_, err := Load(Options{
		Sources: []string{"main.yaml", "yaml:{b: '${file:part}', c: '${file:./part}', d: '${file:none}', e: '${http://x/y}', f: '${env:HOME}'}"},
		ReadFile: func(path string) ([]byte, error) {
			if path == "none" {
				return nil, os.ErrNotExist
			}
			return []byte("{}"), nil
		},
		Fetch: func(string) ([]byte, error) { return []byte("1"), nil },
		Read: func(name string, isFile bool, text []byte, err error) {
			got = append(got, fmt.Sprintf("%s %t %s %v", name, isFile, text, err))
		},
	})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	want := []string{"main.yaml true {} <nil>", "part true {} <nil>", "none true  file does not exist", "http://x/y false 1 <nil>"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
