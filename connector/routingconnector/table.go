package routingconnector

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/statements"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/functions"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// table is the routing table for a signal.
type table struct {
	signal       otlp.Signal
	rules        []rule
	destinations []destination
	otherwise    int // the destination of what no rule has moved; -1: none
	level        otlpedit.Levels
	points       bool // data points of a metric may go different ways
	reads        otlpedit.Levels
	mode         ottl.ErrorMode
	report       func(error)
}

// rule is a compiled Route.
type rule struct {
	text      string
	request   *requestCondition // nil: it is one of a context
	context   *ottl.Context
	condition *ottl.Condition // nil: it always holds
	edit      *ottl.Statement // that changes what was matched; nil: none
	copies    bool

	destination int
}

// destination is the pipelines that a piece goes to.
type destination struct {
	outputs component.Outputs
	edits   []*pipeline.Edits // of the piece, one after the other
}

// compile returns the rule of a signal; nil if the route is about another signal.
func (r *Route) compile(s otlp.Signal) (*rule, error) {
	out := &rule{copies: r.Action == Copy, text: cmp.Or(r.Statement, r.Condition)}
	if r.Context == requestContext {
		request, err := parseRequest(r.Condition)
		out.request = request
		return out, config.At("condition", err)
	}
	out.context = r.contextFor(s)
	if of := out.context.Signal(); of != 0 && of != s {
		return nil, nil
	}
	p := parser(out.context)
	if r.Condition != "" {
		condition, err := p.Condition(r.Condition)
		out.condition = condition
		return out, config.At("condition", err)
	}
	st, err := p.Statement(r.Statement)
	if err != nil {
		return nil, config.At("statement", err)
	}
	out.condition = st.Condition()
	if !strings.HasPrefix(strings.TrimSpace(r.Statement), route.Name) {
		out.edit = st
	}
	return out, nil
}

// contextFor returns the context that the route names, or its paths, or that of resources.
func (r *Route) contextFor(s otlp.Signal) *ottl.Context {
	switch r.Context {
	case "":
	case senderContext: // it is the same for all resources
		return ottl.ContextOf("resource")
	default:
		return ottl.ContextOf(r.Context)
	}
	var texts [2][]string
	if r.Statement != "" {
		texts[0] = []string{r.Statement}
	} else {
		texts[1] = []string{r.Condition}
	}
	c, err := ottl.Infer(s, parser, texts[0], texts[1])
	if err != nil || !slices.Contains(contexts, c.Name()) {
		return ottl.ContextOf("resource")
	}
	return c
}

// route is the editor of a statement that changes nothing.
var route = ottl.Function{Name: "route", Edit: func(*ottl.Args) (func(*ottl.Env) error, error) {
	return func(*ottl.Env) error { return nil }, nil
}}

// parser has the functions of routes: converters, and the editors that delete keys.
func parser(c *ottl.Context) *ottl.Parser {
	allowed := slices.DeleteFunc(functions.Standard(), func(f ottl.Function) bool {
		return f.Edit != nil && f.Name != "delete_key" && f.Name != "delete_matching_keys"
	})
	return ottl.NewParser(c, allowed, []ottl.Function{route})
}

// newTable compiles the routes of a signal.
func newTable(cfg *Config, s otlp.Signal, out component.Outputs) (*table, error) {
	t := &table{signal: s, level: otlpedit.Resources, mode: cfg.ErrorMode, otherwise: -1}
	byPipelines := map[string]int{}
	if ids := pipelinesOf(s, cfg.DefaultPipelines); len(ids) > 0 {
		t.otherwise = t.destination(byPipelines, ids, out)
	}
	seen := map[string]bool{}
	for i := range cfg.Table {
		r := &cfg.Table[i]
		ids := pipelinesOf(s, r.Pipelines)
		if len(ids) == 0 {
			continue
		}
		compiled, err := r.compile(s)
		if err != nil {
			return nil, statements.Within("table["+strconv.Itoa(i)+"]", err)
		}
		if compiled == nil || seen[compiled.key()] {
			continue
		}
		seen[compiled.key()] = true
		t.add(compiled, byPipelines, ids, out)
	}
	return t, nil
}

// key is equal for rules with the same condition, of which the Collector takes the first.
func (r *rule) key() string {
	if r.request != nil {
		return requestContext + " " + r.text
	}
	return r.context.Name() + " " + r.text
}

// add adds a rule. Rules that only move to the same pipelines have one destination, so that
// these are given one piece.
func (t *table) add(r *rule, byPipelines map[string]int, ids []string, out component.Outputs) {
	if r.copies || r.edit != nil {
		byPipelines = map[string]int{}
	}
	r.destination = t.destination(byPipelines, ids, out)
	if r.edit != nil {
		d := &t.destinations[r.destination]
		step := ottl.Step{Context: r.context, Statements: []*ottl.Statement{r.edit}, Mode: t.mode, Client: statements.ClientOf}
		for _, plan := range ottl.Plans(t.signal, step) {
			d.edits = append(d.edits, pipeline.NewEdits(plan))
		}
	}
	if r.context != nil && r.context.Name() != "resource" {
		t.level = otlpedit.Items
		t.reads |= otlpedit.Resources
		t.points = t.points || r.context.Name() == "datapoint"
	}
	if r.condition != nil {
		t.reads |= r.condition.Reads()
	}
	t.rules = append(t.rules, *r)
}

// destination returns the index of the destination with pipelines.
func (t *table) destination(byPipelines map[string]int, ids []string, out component.Outputs) int {
	key := strings.Join(slices.Sorted(slices.Values(ids)), ",")
	if i, ok := byPipelines[key]; ok {
		return i
	}
	byPipelines[key] = len(t.destinations)
	t.destinations = append(t.destinations, destination{outputs: out.Only(ids...)})
	return byPipelines[key]
}
