package oracle

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/filterprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"
)

// withoutCase are functions of contrib that have no statement in testdata, each
// with the reason.
var withoutCase = map[string]string{}

// Every function of contrib is called by a statement or a condition in testdata.
func TestEveryFunctionHasACase(t *testing.T) {
	called := map[string]bool{}
	for _, c := range readStatements(t) {
		addCalls(called, c.text)
	}
	for _, c := range readCases(t, "testdata/cases/filter.yaml") {
		addCalls(called, c.Settings)
	}
	all := contribFunctions()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch reason, listed := withoutCase[name]; {
		case !called[name] && !listed:
			t.Errorf("%s has no case", name)
		case called[name] && listed:
			t.Errorf("%s has a case, although it is listed as one without: %s", name, reason)
		}
	}
	if len(all) < 120 {
		t.Errorf("only %d functions were found", len(all))
	}
}

var call = regexp.MustCompile(`\b([A-Za-z][A-Za-z0-9_]*)\(`)

func addCalls(called map[string]bool, text string) {
	for _, m := range call.FindAllStringSubmatch(text, -1) {
		called[m[1]] = true
	}
}

// contribFunctions returns the names of all functions of the components that are
// linked.
func contribFunctions() map[string]bool {
	all := map[string]bool{}
	for name := range ottlfuncs.StandardFuncs[any]() {
		all[name] = true
	}
	addNames(all, transformprocessor.DefaultLogFunctions())
	addNames(all, transformprocessor.DefaultMetricFunctions())
	addNames(all, transformprocessor.DefaultDataPointFunctions())
	addNames(all, transformprocessor.DefaultSpanFunctions())
	addNames(all, transformprocessor.DefaultSpanEventFunctions())
	addNames(all, transformprocessor.DefaultProfileFunctions())
	addNames(all, filterprocessor.DefaultMetricFunctions())
	addNames(all, filterprocessor.DefaultSpanFunctions())
	return all
}

func addNames[K any](all map[string]bool, list []ottl.Factory[K]) {
	for _, f := range list {
		all[f.Name()] = true
	}
}

// A case that is refused calls a function too: it counts for lambdas only, which
// are behind a feature gate. All other functions have a case that runs.
func TestEveryFunctionHasACaseThatRuns(t *testing.T) {
	called := map[string]bool{}
	for _, c := range readStatements(t) {
		if !c.has("refused") {
			addCalls(called, c.text)
		}
	}
	for _, c := range readCases(t, "testdata/cases/filter.yaml") {
		if !c.Refused {
			addCalls(called, c.Settings)
		}
	}
	lambdas := strings.Fields("All Any Filter Find MapEach MapKeys Reduce When")
	for name := range contribFunctions() {
		if !called[name] && !slices.Contains(lambdas, name) {
			t.Errorf("%s has no case that runs", name)
		}
	}
}
