package conf

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Marshal writes v as YAML that Load can read: a [Tree], a [Node], a struct, or maps and lists of
// them. "$$" and "${" are escaped. Only values of type [config.Secret] are hidden, so marshal
// structs, not trees, if the output is shown. Keys of Go maps are sorted if their kind is string
// or a number.
func Marshal(v any) ([]byte, error) {
	var doc yaml.Node
	if err := doc.Encode(v); err != nil {
		return nil, fmt.Errorf("write %T as YAML: %w", v, err)
	}
	escape(&doc)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("write %T as YAML: %w", v, err)
	}
	return b.Bytes(), nil
}

// MarshalYAML implements yaml.Marshaler.
func (t *Tree) MarshalYAML() (any, error) { return t.root.yaml(), nil }

// MarshalYAML implements yaml.Marshaler.
func (n *Node) MarshalYAML() (any, error) { return n.yaml(), nil }

func (n *Node) yaml() *yaml.Node {
	y := &yaml.Node{Kind: yaml.ScalarNode, Tag: tagOf(n.Kind())}
	if n.Kind() < List && n != nil && n.quoted && n.original != nil {
		return textNode(*n.original)
	}
	switch n.Kind() {
	case Null:
		y.Value = "null"
	case Map:
		y.Kind = yaml.MappingNode
		for _, c := range n.children {
			y.Content = append(y.Content, textNode(c.key), c.yaml())
		}
	case List:
		y.Kind = yaml.SequenceNode
		for _, c := range n.children {
			y.Content = append(y.Content, c.yaml())
		}
	case String:
		return textNode(n.text)
	default:
		y.Value = n.text
	}
	return y
}

// textNode returns a node for text. The YAML library chooses the style, except
// that text that YAML could read differently is in double quotes.
func textNode(s string) *yaml.Node {
	y := &yaml.Node{}
	y.SetString(s)
	if utf8.ValidString(s) && strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		y.Style = yaml.DoubleQuotedStyle
	}
	return y
}

// escape doubles the dollars of values that Load would expand. Keys are never expanded.
func escape(y *yaml.Node) {
	if y.Kind == yaml.ScalarNode && y.ShortTag() == "!!str" && (strings.Contains(y.Value, "$$") || strings.Contains(y.Value, "${")) {
		y.Value = strings.ReplaceAll(y.Value, "$", "$$")
	}
	for i, c := range y.Content {
		if y.Kind != yaml.MappingNode || i%2 == 1 {
			escape(c)
		}
	}
}
