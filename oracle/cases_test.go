package oracle

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// A testCase is one entry of a file in testdata/cases. The file's name is the
// component's type.
type testCase struct {
	Name string
	// Signals are what the component is created for; all if none are named.
	Signals  []string
	Settings string
	// Refused says that both refuse the settings.
	Refused bool
	// Unordered and UnorderedPoints are those of Comparison; the reason is a
	// comment in the file.
	Unordered       bool
	UnorderedPoints bool `yaml:"unordered_points"`
	// Ignore are keys that are not compared.
	Ignore []string
	// IgnoreEmpty is that of Comparison.
	IgnoreEmpty bool `yaml:"ignore_empty"`
	// Differs is the reason why results differ. They have to.
	Differs string
	// Pending is a difference that is not yet decided: results may differ.
	Pending string
	// RefusedByOne is the reason why only one of both refuses the settings. Refused
	// is what contrib does.
	RefusedByOne string `yaml:"refused_by_one"`
	// Only names the generator of requests: "generated" or "unusual"; both if empty.
	Only string
}

func (c testCase) comparison() Comparison {
	return Comparison{Unordered: c.Unordered, UnorderedPoints: c.UnorderedPoints, Ignore: c.Ignore, IgnoreEmpty: c.IgnoreEmpty}
}

func readCases(t *testing.T, file string) (list []testCase) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(strings.NewReader(string(b)))
	dec.KnownFields(true)
	if err := dec.Decode(&list); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return list
}

func TestCases(t *testing.T) { runFiles(t, "testdata/cases/*.yaml") }

// The shapes of sections in use are accepted by both, and do the same.
func TestShapes(t *testing.T) { runFiles(t, "testdata/shapes/*.yaml") }

func runFiles(t *testing.T, pattern string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		typ := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(typ, func(t *testing.T) {
			for _, c := range readCases(t, file) {
				t.Run(c.Name, func(t *testing.T) {
					t.Parallel()
					runCase(t, typ, c)
				})
			}
		})
	}
}

func runCase(t *testing.T, typ string, c testCase) {
	ran, different, native := 0, 0, false
	for _, s := range otlp.Signals() {
		if len(c.Signals) > 0 && !slices.Contains(c.Signals, s.String()) {
			continue
		}
		p := pair{Component: Component{Kind: kindOf(typ), Type: typ, Signal: s, Settings: c.Settings}, Comparison: c.comparison()}
		p.differs, p.pending, p.refusedByOne = c.Differs, c.Pending, c.RefusedByOne
		if !p.create(t, c.Refused) {
			if errors.Is(p.refusal, errSignal) && len(c.Signals) > 0 {
				t.Errorf("%s: contrib does not support the signal", s)
			}
			continue
		}
		ran++
		different += p.compare(t, requestsFor(s, c.Only))
		native = native || p.native != nil
	}
	if ran == 0 && !c.Refused && c.RefusedByOne == "" {
		t.Error("the case was run for no signal")
	}
	if c.Differs != "" && native && different == 0 {
		t.Errorf("the results are equal, although a difference is listed: %s", c.Differs)
	}
}

func kindOf(typ string) Kind {
	if typ == "count" {
		return Connector
	}
	return Processor
}

// requestsFor returns the requests that every case is run over.
func requestsFor(s otlp.Signal, only string) (list [][]byte) {
	if only != "unusual" {
		for seed := range uint64(24) {
			list = append(list, Generate(rand.New(rand.NewPCG(seed, uint64(s))), s, 1+int(seed%4)))
		}
	}
	if only != "generated" {
		for seed := range uint64(16) {
			request := testkit.Request(rand.New(rand.NewPCG(seed, uint64(s))), s, 1+int(seed%4))
			if pdataReadsAll(s, request) {
				list = append(list, request)
			}
		}
	}
	return list
}

// pdataReadsAll reports whether pdata reads the same as the official module, which
// merges the parts of a message that is written in parts.
func pdataReadsAll(s otlp.Signal, request []byte) bool {
	m := testkit.NewMessage(s)
	if err := proto.Unmarshal(request, m); err != nil {
		return false
	}
	merged, err := proto.Marshal(m)
	if err != nil {
		return false
	}
	want, err1 := contribSignals[s].normalize(merged)
	got, err2 := contribSignals[s].normalize(request)
	return err1 == nil && err2 == nil && bytes.Equal(want, got)
}

// A pair is a component of contrib and penstock's of the same type and settings.
type pair struct {
	Component
	Comparison
	contrib, native Instance
	// refusal is contrib's error at start.
	refusal error
	// differs and pending are those of the case; refusedByOne is the reason why only
	// one of both refuses the settings.
	differs, pending, refusedByOne string
}

// create starts both components. It reports whether there is something to run.
func (p *pair) create(t *testing.T, refused bool) bool {
	t.Helper()
	p.contrib, p.refusal = NewContrib(p.Component)
	if errors.Is(p.refusal, errSignal) {
		return false
	}
	if p.contrib != nil {
		t.Cleanup(func() { _ = p.contrib.Close() })
	}
	if (p.refusal != nil) != refused {
		t.Fatalf("%s: contrib refuses the settings: %v, want refused: %v", p.Signal, p.refusal, refused)
	}
	var err error
	p.native, err = NewNative(p.Component)
	switch {
	case errors.Is(err, ErrUnknownType):
		tally.add(func() { tally.notYet[p.Type]++ })
		return p.refusal == nil
	case p.refusal == nil && unknownFunction(err) != "":
		tally.add(func() { tally.notYet[unknownFunction(err)]++ })
		return true
	case p.native != nil:
		t.Cleanup(func() { _ = p.native.Close() })
	}
	switch equal := (err != nil) == refused; {
	case p.refusedByOne != "" && equal:
		t.Fatalf("%s: both agree, although a difference is listed: %s", p.Signal, p.refusedByOne)
	case p.refusedByOne != "":
		return false
	case p.pending != "" && !equal:
		tally.add(func() { tally.pending++ })
		return false
	case !equal:
		t.Fatalf("%s: penstock: %v; contrib: %v", p.Signal, err, p.refusal)
	}
	return !refused
}

// unknownFunction returns the function or context that penstock lacks, "" if err is
// another error.
func unknownFunction(err error) string {
	if err == nil {
		return ""
	}
	if m := functionName.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return ""
}

var functionName = regexp.MustCompile(`unknown (function \w+|context "exemplar")`)

// compare runs both over the requests. It returns the number of requests with
// different results.
func (p *pair) compare(t *testing.T, requests [][]byte) (different int) {
	t.Helper()
	failures := 0
	for i, request := range requests {
		want := p.contrib.Process(request)
		if p.native == nil {
			continue
		}
		got := p.native.Process(request)
		if list := p.Differences(want, got); len(list) > 0 {
			different++
			if p.differs == "" && p.pending == "" && failures < 3 {
				failures++
				t.Errorf("%s, request %d:\n\t%s", p.Signal, i, strings.Join(list, "\n\t"))
			}
		}
	}
	if p.native == nil {
		return 0
	}
	tally.add(func() {
		tally.compared++
		tally.requests += len(requests)
		if p.differs != "" {
			tally.listed++
		}
		if p.pending != "" && different > 0 {
			tally.pending++
		}
	})
	return different
}
