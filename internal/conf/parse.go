package conf

import (
	"bytes"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"
)

// Limits of one Load, far above any configuration. The YAML library uses up to 100 bytes of
// memory per byte of text, so with these limits a bad file uses at most about 500 MiB.
const (
	maxSourceBytes = 4 << 20 // of one source
	maxNodes       = 1e6     // of all sources, with aliases expanded
	maxDepth       = 200     // of nesting
)

var (
	errTooManyNodes = errors.New("the configuration has more than 1000000 values (an alias that multiplies itself?)")
	errTooDeep      = errors.New("nested deeper than 200 levels")
)

// A parser turns one YAML text into nodes: aliases and merge keys become copies, keys become text.
type parser struct {
	src   *source
	at    *mark  // if not nil, the position of every node: that of the ${...} of the text
	from  string // that ${...}
	depth int    // depth of the text's root in the tree
	nodes *int   // number that is left, for all texts of one Load

	open map[*yaml.Node]bool // anchors being expanded, to detect one inside itself
	errs Errors
	full bool // a limit was exceeded and reported; the rest is skipped
}

// parse returns the first document of text; an empty one is Null. extra reports
// that a second document follows, which is ignored, as in the Collector.
func (p *parser) parse(text []byte) (root *Node, extra bool) {
	start := p.mark(&yaml.Node{Line: 1, Column: 1})
	if len(text) > maxSourceBytes {
		p.fail(start, errors.New("larger than 4 MiB"))
		return &Node{at: start}, false
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case err == io.EOF || err == nil && len(doc.Content) == 0:
		return &Node{at: start}, false
	case err != nil:
		at, why := explainSyntax(text, err)
		at.src = p.src
		p.fail(at, why)
		return &Node{at: start}, false
	}
	p.open = map[*yaml.Node]bool{}
	root = p.node(doc.Content[0], p.depth)
	return root, dec.Decode(new(yaml.Node)) != io.EOF
}

func (p *parser) fail(at mark, err error) {
	if p.full {
		return
	}
	p.errs.Add(&Error{Pos: at.pos(), Err: err})
	p.full = len(p.errs) >= maxErrors
}

func (p *parser) mark(y *yaml.Node) mark {
	if p.at != nil {
		return *p.at
	}
	return mark{src: p.src, line: int32(y.Line), col: int32(y.Column)}
}

// node converts one value. It never returns nil.
func (p *parser) node(y *yaml.Node, depth int) *Node {
	n := &Node{at: p.mark(y), from: p.from}
	*p.nodes--
	switch {
	case p.full:
		return n
	case *p.nodes < 0:
		p.fail(n.at, errTooManyNodes)
		p.full = true
		return n
	case depth > maxDepth:
		p.fail(n.at, errTooDeep)
		p.full = true
		return n
	}
	switch y.Kind {
	case yaml.AliasNode:
		return p.alias(y, depth)
	case yaml.MappingNode:
		n.kind = Map
		p.mapping(n, y, depth)
	case yaml.SequenceNode:
		n.kind = List
		items := make([]*Node, 0, len(y.Content))
		for _, item := range y.Content {
			items = append(items, p.node(item, depth+1))
		}
		n.adopt(items)
	default:
		p.scalar(n, y)
	}
	return n
}

func (p *parser) alias(y *yaml.Node, depth int) *Node {
	if p.open[y.Alias] {
		p.fail(p.mark(y), errors.New("the anchor &"+y.Value+" contains itself"))
		return &Node{at: p.mark(y)}
	}
	p.open[y.Alias] = true
	defer delete(p.open, y.Alias)
	return p.node(y.Alias, depth)
}

func (p *parser) scalar(n *Node, y *yaml.Node) {
	n.text = y.Value
	n.quoted = y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	switch y.ShortTag() {
	case "!!null":
		n.text = ""
	case "!!bool":
		n.kind = Bool
	case "!!int":
		n.kind = Int
	case "!!float":
		n.kind = Float
	case "!!timestamp":
		n.kind = Timestamp
	default:
		n.kind = String
	}
	tagged := y.Style&yaml.TaggedStyle != 0
	if !tagged || n.kind == Null {
		return
	}
	var v any // !!binary, and tags that do not match their value, such as !!int abc
	if err := y.Decode(&v); err != nil {
		p.fail(n.at, errors.New(cutYAML(err)))
	} else if s, ok := v.(string); ok {
		n.kind, n.text = String, s
	}
}

// mapping fills n. A key of the map itself takes precedence over a merged one,
// and the first of two merged ones over the second.
func (p *parser) mapping(n *Node, y *yaml.Node, depth int) {
	seen := make(map[string]mark, len(y.Content)/2)
	var children []*Node
	var merges []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		at := p.mark(y.Content[i])
		if key.Kind != yaml.ScalarNode {
			p.fail(at, errors.New("a key must be text, not a list or map (a value that starts with { or [ needs quotes)"))
			continue
		}
		text := p.keyText(key, at)
		if first, ok := seen[text]; ok {
			p.fail(at, errors.New("duplicate key "+shorten(text)+", first at "+first.pos().String()))
			continue
		}
		seen[text] = at
		child := p.node(value, depth+1)
		child.key, child.keyAt = text, at
		children = append(children, child)
	}
	for _, m := range merges {
		for _, child := range p.merged(m, depth) {
			if _, ok := seen[child.key]; !ok {
				seen[child.key] = child.keyAt
				children = append(children, child)
			}
		}
	}
	n.adopt(children)
}

// keyText returns a key as it is written, whatever its type; the text of
// !!binary is decoded.
func (p *parser) keyText(key *yaml.Node, at mark) string {
	n := &Node{at: at}
	if p.scalar(n, key); n.kind == Null {
		return key.Value
	}
	return n.text
}

// merged returns the children that "<<: m" adds.
func (p *parser) merged(m *yaml.Node, depth int) []*Node {
	from := p.node(m, depth+1)
	switch from.kind {
	case Map:
		return from.children
	case List:
		var all []*Node
		for _, item := range from.children {
			if item.kind != Map {
				p.fail(item.at, errors.New("<< needs a map or a list of maps, found "+item.found()))
				continue
			}
			all = append(all, item.children...)
		}
		return all
	}
	p.fail(p.mark(m), errors.New("<< needs a map or a list of maps, found "+from.found()))
	return nil
}
