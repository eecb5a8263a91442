package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// query is one of a dashboard.
type query struct{ panel, text string }

type panel struct {
	Title   string
	Panels  []panel
	Targets []struct{ Expr string }
}

// readDashboard returns the queries of a file that Grafana has exported.
func readDashboard(file string) ([]query, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var top panel
	if err := json.Unmarshal(text, &top); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	all := top.queries()
	if len(all) == 0 {
		return nil, fmt.Errorf("read %s: it has no queries", file)
	}
	return all, nil
}

func (p *panel) queries() (all []query) {
	for _, t := range p.Targets {
		if t.Expr != "" {
			all = append(all, query{p.Title, t.Expr})
		}
	}
	for i := range p.Panels {
		all = append(all, p.Panels[i].queries()...)
	}
	return all
}

var variable = regexp.MustCompile(`\$\{?([A-Za-z_]+)(?::[a-z]+)?\}?`)

// expand replaces the variables of a dashboard with what it would find, or its user
// choose.
func (q query) expand(c condition, job string) string {
	values := map[string]string{
		"__rate_interval": "10s", "__interval": "10s", "metric": "rate", "job": job, "grouping": "", "prefix": "", "divider": "_",
		"suffix_total": "", "suffix_seconds": "", "suffix_bytes": "",
	}
	if c.suffixes {
		values["suffix_total"], values["suffix_seconds"], values["suffix_bytes"] = "_total", "_seconds", "_bytes"
	}
	if c.names == utf8Names {
		values["divider"] = "."
	}
	return variable.ReplaceAllStringFunc(q.text, func(found string) string {
		if value, ok := values[variable.FindStringSubmatch(found)[1]]; ok {
			return value
		}
		return ".*"
	})
}

var optional = regexp.MustCompile(`\(?(_total|_bytes|_seconds|_seconds_total|_bytes_\?)\)\??|\.\*|\.\+`)

// metrics returns the names of the metrics that a query reads, without what stands for
// suffixes.
func (q query) metrics() (found []string) {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(q.expand(condition{names: legacyNames}, "x"))
	if err != nil {
		return []string{"(not a valid query)"}
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		of, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		name := of.Name
		for _, m := range of.LabelMatchers {
			if m.Name == "__name__" {
				name = m.Value
			}
		}
		if name = strings.Trim(optional.ReplaceAllString(name, ""), "?"); !slices.Contains(found, name) {
			found = append(found, name)
		}
		return nil
	})
	return found
}
