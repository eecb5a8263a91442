package load

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/conf"
)

// YAML returns the configuration in effect, with defaults included and secrets
// hidden, also those in URLs, in the order of the sections in which it was written.
// Load can read the result.
func (c *Config) YAML() ([]byte, error) {
	top := mapping{}
	for _, k := range component.Kinds() {
		section := mapping{}
		for _, comp := range c.all() {
			if comp.Kind != k || comp.notHere != nil {
				continue
			}
			n, err := section.add(comp.ID, comp.Config)
			if err != nil {
				return nil, err
			}
			prune(n, comp.node)
		}
		if len(section) > 0 {
			top.put(k.Section(), section.node())
		}
	}
	svc, err := c.serviceYAML()
	if err != nil {
		return nil, err
	}
	top.put("service", svc)
	all := top.node()
	redactURLs(all)
	return conf.Marshal(all)
}

// all returns the components, used or not, in source order.
func (c *Config) all() []*Component {
	all := slices.Concat(c.Components, c.Unused)
	slices.SortStableFunc(all, func(a, b *Component) int { return config.ComparePos(a.node.KeyPos(), b.node.KeyPos()) })
	return all
}

// redactURLs hides the secrets of URLs in all texts: any setting may be one, also a
// setting of a component of another module.
func redactURLs(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value = config.RedactURLs(n.Value)
	}
	for _, c := range n.Content {
		redactURLs(c)
	}
}

func (c *Config) serviceYAML() (*yaml.Node, error) {
	svc, pipelines := mapping{}, mapping{}
	if len(c.Extensions) > 0 {
		var ids []string
		for _, e := range c.Extensions {
			ids = append(ids, e.ID)
		}
		svc.put("extensions", list(ids))
	}
	for _, p := range c.Pipelines {
		m := mapping{}
		m.put("receivers", list(IDs(p.Receivers)))
		if len(p.Processors) > 0 {
			m.put("processors", list(IDs(p.Processors)))
		}
		m.put("exporters", list(IDs(p.Exporters)))
		pipelines.put(p.ID, m.node())
	}
	svc.put("pipelines", pipelines.node())
	if _, err := svc.add("telemetry", c.Telemetry); err != nil {
		return nil, err
	}
	return svc.node(), nil
}

// IDs returns the ids of a list.
func IDs(refs []Ref) []string {
	var ids []string
	for _, r := range refs {
		ids = append(ids, r.ID)
	}
	return ids
}

// mapping is a YAML map in a fixed order: keys and values alternate.
type mapping []*yaml.Node

func (m *mapping) put(key string, value *yaml.Node) {
	k := &yaml.Node{}
	k.SetString(key)
	*m = append(*m, k, value)
}

// add puts a value of any type.
func (m *mapping) add(key string, value any) (*yaml.Node, error) {
	n := &yaml.Node{}
	if err := n.Encode(value); err != nil {
		return nil, fmt.Errorf("write the configuration of %s as YAML: %w", key, err)
	}
	m.put(key, n)
	return n, nil
}

func (m *mapping) node() *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: *m}
}

// prune removes entries from a component's printed configuration: nulls, since a
// section that is off would be read back as on; and empty values that source does
// not contain, since they are defaults. An empty secret would be printed as
// hidden, which would be wrong. source is the configuration as written.
func prune(n *yaml.Node, source *conf.Node) {
	switch {
	case n.Kind == yaml.MappingNode:
		var kept []*yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			written := source.Get(key.Value)
			if value.ShortTag() == "!!null" || written == nil && isEmpty(value) {
				continue
			}
			prune(value, written)
			kept = append(kept, key, value)
		}
		n.Content = kept
	case n.Kind == yaml.SequenceNode && source.Kind() == conf.List && source.Len() == len(n.Content):
		for i, item := range source.Children() {
			prune(n.Content[i], item)
		}
	}
}

func isEmpty(n *yaml.Node) bool {
	return n.Kind != yaml.ScalarNode && len(n.Content) == 0 ||
		n.ShortTag() == "!!str" && (n.Value == "" || n.Value == config.Secret("").String())
}

// list returns ids as a YAML list on one line.
func list(ids []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
	for _, id := range ids {
		item := &yaml.Node{}
		item.SetString(id)
		n.Content = append(n.Content, item)
	}
	return n
}
