package routingconnector

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/statements"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/ottl"
)

// Config is the connector's configuration, with the Collector's keys.
type Config struct {
	// ErrorMode is what is done about a condition that fails: propagate (refuse the
	// request, the default), ignore (log it; the condition does not match), or silent.
	ErrorMode ottl.ErrorMode `yaml:"error_mode"`
	// DefaultPipelines are those of what no route has moved.
	DefaultPipelines []string `yaml:"default_pipelines"`
	Table            []Route  `yaml:"table"`
	// MatchOnce has no effect, as in the Collector, which has removed it.
	MatchOnce *bool `yaml:"match_once"`
}

// Route passes what it matches to pipelines. Of several signals, each takes those of its
// own.
type Route struct {
	// Context is what the condition is about: request, otelcol, resource, span, metric,
	// datapoint, log, profile. If it is empty, the paths name it; if they do not, it is resource.
	Context string `yaml:"context"`
	// Statement is route() or delete_key(…) with a condition, or Condition is the condition.
	Statement string   `yaml:"statement"`
	Condition string   `yaml:"condition"`
	Pipelines []string `yaml:"pipelines"`
	// Action is move, the default, or copy: what was matched is also tried by the routes
	// that follow.
	Action Action `yaml:"action"`
}

// Action is what becomes of what a route matches.
type Action string

// The actions. The empty one is Move.
const (
	Move Action = "move"
	Copy Action = "copy"
)

// Validate returns an error for an unknown action.
func (a Action) Validate() error {
	switch a {
	case "", Move, Copy:
		return nil
	}
	return fmt.Errorf("unknown action %q, expected move or copy", string(a))
}

// DefaultConfig returns the configuration of an empty section, which is not valid.
func DefaultConfig() Config { return Config{ErrorMode: ottl.Propagate} }

const (
	// requestContext is the context of conditions on the headers of requests, in a syntax
	// of their own.
	requestContext = "request"
	// senderContext is that of conditions on what is known of the sender.
	senderContext = "otelcol"
)

var contexts = []string{requestContext, senderContext, "resource", "span", "metric", "datapoint", "log", "profile"}

// Validate checks what can be checked of a route without its pipelines.
func (r *Route) Validate() error {
	var errs []error
	switch {
	case r.Statement == "" && r.Condition == "":
		errs = append(errs, errors.New(`expected a condition, such as condition: attributes["service.name"] == "cart"`))
	case r.Statement != "" && r.Condition != "":
		errs = append(errs, config.Atf("statement", "statement and condition cannot be used together"))
	}
	if len(r.Pipelines) == 0 {
		errs = append(errs, errors.New("expected at least one pipeline, as in pipelines: [logs/archive]"))
	}
	switch {
	case r.Context == "":
	case !slices.Contains(contexts, r.Context):
		errs = append(errs, config.Atf("context", "unknown context %q%s", r.Context, suggest.Known(r.Context, contexts)))
	case r.Context == requestContext && r.Statement != "":
		errs = append(errs, config.Atf("statement", `the context request takes no statement: write condition: request["name"] == "value"`))
	}
	return errors.Join(errs...)
}

// Validate compiles the table for all signals whose pipelines it names.
func (c *Config) Validate() error {
	if len(c.Table) == 0 {
		return config.Atf("table", "expected at least one route")
	}
	var errs []error
	for i := range c.Table {
		r := &c.Table[i]
		if r.Validate() != nil || r.Action.Validate() != nil {
			continue // reported at its place
		}
		for _, s := range r.signals() {
			if _, err := r.compile(s); err != nil {
				errs = append(errs, statements.Within(fmt.Sprintf("table[%d]", i), err))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// Warnings implements component.Warner.
func (c *Config) Warnings() []string {
	var texts []string
	if c.MatchOnce != nil {
		texts = append(texts, "match_once has no effect: the first route with the action move that matches is the last one; for several, use action: copy")
	}
	first := map[[3]string]int{}
	for i, r := range c.Table {
		key := [3]string{r.Context, r.Statement, r.Condition}
		if at, ok := first[key]; ok {
			texts = append(texts, fmt.Sprintf("table[%d] has no effect: its condition is that of table[%d]", i, at))
			continue
		}
		first[key] = i
	}
	return texts
}

// NamesPipelines implements component.PipelineNamer.
func (c *Config) NamesPipelines() (all []component.PipelineName) {
	add := func(key string, ids []string) {
		for i, id := range ids {
			all = append(all, component.PipelineName{Key: fmt.Sprintf("%s[%d]", key, i), ID: id})
		}
	}
	add("default_pipelines", c.DefaultPipelines)
	for i, r := range c.Table {
		add(fmt.Sprintf("table[%d].pipelines", i), r.Pipelines)
	}
	return all
}

// signals returns those whose pipelines the route names; all if none is right.
func (r *Route) signals() (list []otlp.Signal) {
	all := otlp.Signals()
	for _, s := range all {
		if len(pipelinesOf(s, r.Pipelines)) > 0 {
			list = append(list, s)
		}
	}
	if list == nil {
		return all[:]
	}
	return list
}

// pipelinesOf returns the ids of pipelines of a signal.
func pipelinesOf(s otlp.Signal, ids []string) (list []string) {
	for _, id := range ids {
		if name, _, _ := strings.Cut(id, "/"); name == s.String() && !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}
