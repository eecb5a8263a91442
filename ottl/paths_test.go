package ottl

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// pathsOf returns all paths of a context, with its prefix.
func pathsOf(c *Context) (paths []string) {
	for name := range c.fields {
		paths = append(paths, c.name+"."+name)
	}
	for _, outer := range c.around {
		for name := range contexts[outer].fields {
			paths = append(paths, outer+"."+name)
		}
	}
	paths = append(paths, "cache")
	slices.Sort(paths)
	return paths
}

// Every path can be read and, where it can be set, set to its own value, which changes
// nothing but the encoding; to a literal it fails or leaves a request that Check accepts.
func TestPathsOfRandomRequests(t *testing.T) {
	t.Parallel()
	literals := []string{`"text"`, `7`, `-1`, `1.5`, `true`, `nil`, `[1, "a"]`, `{"k": {"n": [1]}}`, `0xff00`, `[1, 2]`, `[0.5]`}
	for _, s := range otlp.Signals() {
		for _, c := range ContextsOf(s) {
			t.Run(s.String()+" "+c.name, func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(uint64(s), 7))
				for _, path := range pathsOf(c) {
					sources := append(slices.Clone(literals), path, path)
					if slices.Contains([]string{c.name + ".attributes", "resource.attributes", "cache"}, path) {
						sources = append(sources, path+`["a"]`, path+`["a"]["b"]`)
					}
					for i, source := range sources {
						targets := []string{path}
						if i >= len(literals)+2 {
							targets = []string{source, path + `["new"]`}
						}
						for _, target := range targets {
							setAndCheck(t, rng, s, c, fmt.Sprintf("set(%s, %s)", target, source), source == target && i < len(literals)+2 && !changing(path))
						}
					}
				}
			})
		}
	}
}

func setAndCheck(t *testing.T, rng *rand.Rand, s otlp.Signal, c *Context, text string, same bool) {
	t.Helper()
	st, err := NewParser(c, testFunctions).Statement(text)
	if err != nil {
		return // not settable, or of another type
	}
	for range 4 {
		request := testkit.Request(rng, s, 1+rng.IntN(4))
		items, err := otlp.Check(s, request)
		if err != nil {
			t.Fatal(err)
		}
		failed := false
		plans := Plans(s, Step{Context: c, Statements: []*Statement{st}, Report: func(error) { failed = true }})
		pass := otlpedit.NewPass(plans[0])
		v, out, err := pass.Run(s, request, items, otlpedit.Heap{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if v != otlpedit.Replace {
			continue
		}
		now, err := otlp.Check(s, out)
		if want := pass.Items(0); err != nil || now != want {
			t.Fatalf("%s: %d items, the pass counts %d: %v", text, now, want, err)
		}
		if same && !failed && !bytes.Equal(canonical(t, s, out), canonical(t, s, request)) {
			t.Fatalf("%s changed a request: %d bytes were %d", text, len(out), len(request))
		}
	}
}

// canonical is a request without the freedom that its encoding has.
func canonical(t *testing.T, s otlp.Signal, request []byte) []byte {
	t.Helper()
	m := testkit.NewMessage(s)
	if err := proto.Unmarshal(request, m); err != nil {
		t.Fatal(err)
	}
	reduce(m.ProtoReflect(), s.Spec().HasDictionary)
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reduce removes what means the same as nothing: unknown fields, and messages without fields
// that are not in a list; without a dictionary, references into it.
func reduce(m protoreflect.Message, dictionary bool) {
	m.SetUnknown(nil)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case !dictionary && strings.HasSuffix(string(f.Name()), "_strindex"):
			m.Clear(f)
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				reduce(v.List().Get(i).Message(), dictionary)
			}
		default:
			if reduce(v.Message(), dictionary); proto.Size(v.Message().Interface()) == 0 {
				m.Clear(f)
			}
		}
		return true
	})
}

// changing are paths that are not what they were when they are set to their own value:
// presence, the member of a oneof, a reference into the dictionary.
func changing(path string) bool {
	return slices.ContainsFunc([]string{".sum", ".value_double", ".value_int", "profile.attributes", "profilesample.attributes", "cache", "_type.type", "_type.unit", "body.string"}, func(s string) bool {
		return strings.HasSuffix(path, s)
	})
}
