package oracle

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/penstock-telemetry/penstock/otlp"
)

// A statementCase is one line of a file in testdata/statements.
type statementCase struct {
	where string
	// words are the heading: the context and what is expected.
	words []string
	text  string
}

func (c statementCase) has(word string) bool { return slices.Contains(c.words[1:], word) }

// A statementKind says how the statements of a heading become settings.
type statementKind struct {
	signal otlp.Signal
	key    string
	// flat has no context: it is inferred.
	flat bool
}

// statementKinds are by the first word of a heading.
var statementKinds = map[string]statementKind{
	"resource":  {otlp.Logs, "log_statements", false},
	"scope":     {otlp.Metrics, "metric_statements", false},
	"log":       {otlp.Logs, "log_statements", false},
	"span":      {otlp.Traces, "trace_statements", false},
	"spanevent": {otlp.Traces, "trace_statements", false},
	"metric":    {otlp.Metrics, "metric_statements", false},
	"datapoint": {otlp.Metrics, "metric_statements", false},
	"exemplar":  {otlp.Metrics, "metric_statements", false},
	"profile":   {otlp.Profiles, "profile_statements", false},
	"logs":      {otlp.Logs, "log_statements", true},
	"traces":    {otlp.Traces, "trace_statements", true},
	"metrics":   {otlp.Metrics, "metric_statements", true},
	"profiles":  {otlp.Profiles, "profile_statements", true},
}

var heading = regexp.MustCompile(`^\[([a-z -]+)\]$`)

func readStatements(t *testing.T) (list []statementCase) {
	t.Helper()
	files, err := filepath.Glob("testdata/statements/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		list = append(list, readStatementFile(t, file)...)
	}
	return list
}

func readStatementFile(t *testing.T, file string) (list []statementCase) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var words []string
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		n++
		line := strings.TrimSpace(s.Text())
		switch m := heading.FindStringSubmatch(line); {
		case line == "" || strings.HasPrefix(line, "#"):
		case m != nil:
			words = strings.Fields(m[1])
			if _, ok := statementKinds[words[0]]; !ok {
				t.Fatalf("%s:%d: unknown context %q", file, n, words[0])
			}
		default:
			list = append(list, statementCase{fmt.Sprintf("%s:%d", filepath.Base(file), n), words, line})
		}
	}
	return list
}

// transformSettings returns settings of transform with one group of statements.
func transformSettings(k statementKind, context, errorMode string, statements ...string) string {
	var groups any = statements
	if !k.flat {
		groups = []any{map[string]any{"context": context, "statements": statements}}
	}
	b, err := yaml.Marshal(map[string]any{"error_mode": errorMode, k.key: groups})
	if err != nil {
		panic(err) // strings and maps
	}
	return strings.ReplaceAll(string(b), "$", "$$") // what a configuration expands
}

// Each statement does the same in both: over requests of several items, where an
// error leaves what was done so far, and over requests of one item, where an error
// refuses the request.
func TestStatements(t *testing.T) {
	for _, c := range readStatements(t) {
		t.Run(c.where, func(t *testing.T) {
			t.Parallel()
			runStatement(t, c, listedDifferences(t)[c.words[0]+" "+c.text])
		})
	}
}

func runStatement(t *testing.T, c statementCase, d listedDifference) {
	k := statementKinds[c.words[0]]
	different, native := 0, false
	for mode, requests := range map[string][][]byte{"ignore": manyItems(k.signal), "propagate": singleItems(k.signal)} {
		settings := transformSettings(k, c.words[0], mode, strings.Split(c.text, " ;; ")...)
		p := pair{
			Component:  Component{Kind: Processor, Type: "transform", Signal: k.signal, Settings: settings},
			Comparison: Comparison{Unordered: c.has("unordered"), UnorderedPoints: c.has("unordered-points")},
			differs:    d.Differs, pending: d.Pending, refusedByOne: d.Refused,
		}
		if !p.create(t, c.has("refused")) || c.has("start-only") {
			continue
		}
		different += p.compare(t, requests)
		native = native || p.native != nil
	}
	d.check(t, different, native)
	if t.Failed() {
		t.Logf("the entry in differences.yaml would be: %s", d.entry(c.words[0], c.text))
	}
}

// A listedDifference is an entry of testdata/differences.yaml.
type listedDifference struct {
	Context, Statement string
	// Differs and Pending are those of testCase; Refused is the reason why only one
	// of both refuses the statement.
	Differs, Pending, Refused string
}

// check fails the test if a difference is listed and there is none.
func (d listedDifference) check(t *testing.T, different int, native bool) {
	t.Helper()
	if d.Differs != "" && native && different == 0 {
		t.Errorf("the results are equal, although a difference is listed: %s", d.Differs)
	}
}

// entry returns the line for differences.yaml.
func (listedDifference) entry(context, statement string) string {
	return fmt.Sprintf("- {context: %s, statement: '%s', pending: …}", context, strings.ReplaceAll(statement, "'", "''"))
}

// listedDifferences returns the entries of testdata/differences.yaml by context
// and statement.
func listedDifferences(t *testing.T) map[string]listedDifference {
	t.Helper()
	list, err := readDifferences()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var readDifferences = sync.OnceValues(func() (map[string]listedDifference, error) {
	b, err := os.ReadFile("testdata/differences.yaml")
	if err != nil {
		return nil, err
	}
	var list []listedDifference
	if err := yaml.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	byStatement := map[string]listedDifference{}
	for _, d := range list {
		byStatement[d.Context+" "+d.Statement] = d
	}
	return byStatement, nil
})

func manyItems(s otlp.Signal) (list [][]byte) {
	for seed := range uint64(8) {
		list = append(list, Generate(rand.New(rand.NewPCG(seed, 100)), s, 5))
	}
	return list
}

func singleItems(s otlp.Signal) (list [][]byte) {
	for seed := range uint64(16) {
		list = append(list, Generate(rand.New(rand.NewPCG(seed, 200)), s, 1))
	}
	return list
}
