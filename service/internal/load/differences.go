package load

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Difference is a key of service.telemetry whose value is another one.
type Difference struct {
	Key string // "service.telemetry.logs.level"
	// Text has both values: "service.telemetry.logs.level: info -> debug".
	Text string
}

// TelemetryDifferences compares service.telemetry, with defaults included, with that of
// next. Secrets are hidden.
func (c *Config) TelemetryDifferences(next *Config) ([]Difference, error) {
	const top = "service.telemetry"
	before, after := c.Telemetry.Effective(), next.Telemetry.Effective()
	var all []Difference
	for _, section := range []struct {
		key           string
		before, after any
	}{
		{top + ".logs", before.Logs, after.Logs},
		{top + ".metrics", before.Metrics, after.Metrics},
		{top + ".traces", before.Traces, after.Traces},
		{top + ".resource", before.Resource, after.Resource},
	} {
		if reflect.DeepEqual(section.before, section.after) {
			continue
		}
		found, err := differences(section.key, section.before, section.after)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			found = []Difference{{section.key, section.key + ": a hidden value changed"}}
		}
		all = append(all, found...)
	}
	return all, nil
}

// differences compares two values of a type, as YAML.
func differences(key string, before, after any) (all []Difference, err error) {
	was, is := map[string]string{}, map[string]string{}
	for _, side := range []struct {
		value any
		texts map[string]string
	}{{before, was}, {after, is}} {
		n := &yaml.Node{}
		if err := n.Encode(side.value); err != nil {
			return nil, fmt.Errorf("compare %s: %w", key, err)
		}
		redactURLs(n)
		flatten(side.texts, key, n)
	}
	keys := maps.Clone(was)
	maps.Copy(keys, is)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if was[k] != is[k] {
			all = append(all, Difference{k, fmt.Sprintf("%s: %s -> %s", k, orNone(was[k]), orNone(is[k]))})
		}
	}
	return all, nil
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// flatten writes a text for each scalar and each list of scalars.
func flatten(into map[string]string, key string, n *yaml.Node) {
	scalars := !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.Kind != yaml.ScalarNode })
	switch {
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			flatten(into, key+"."+n.Content[i].Value, n.Content[i+1])
		}
	case n.Kind == yaml.SequenceNode && scalars:
		var items []string
		for _, c := range n.Content {
			items = append(items, c.Value)
		}
		into[key] = "[" + strings.Join(items, ", ") + "]"
	case n.Kind == yaml.SequenceNode:
		for i, c := range n.Content {
			flatten(into, fmt.Sprintf("%s[%d]", key, i), c)
		}
	case n.ShortTag() != "!!null":
		into[key] = n.Value
	}
}
