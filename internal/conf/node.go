package conf

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/penstock-telemetry/penstock/config"
)

// Types of package config that this package's nodes and errors use.
type (
	Kind   = config.Kind
	Pos    = config.Pos
	Error  = config.Error
	Errors = config.Errors
)

// The kinds of node.
const (
	Null      = config.Null
	Bool      = config.Bool
	Int       = config.Int
	Float     = config.Float
	Timestamp = config.Timestamp
	String    = config.String
	List      = config.List
	Map       = config.Map
)

// A Node is one value of a configuration. It does not change once Load has returned it.
// A nil *Node stands for an absent value: it has no children, and decoding it changes nothing.
type Node struct {
	kind     Kind
	text     string  // of a scalar, as written (0x1F stays 0x1F)
	original *string // the text of ${...} if its content is not a string; for text fields
	quoted   bool    // written in quotes or as a block: the value is text, whatever it looks like
	from     string  // "${env:X}" if the whole value comes from there
	hint     string  // why the content of ${...} is used as a string
	children []*Node

	at     mark
	keyAt  mark
	parent *Node
	key    string // in a Map
	index  int    // in a List
}

// Kind returns the YAML type of the value; Null for a nil node.
func (n *Node) Kind() Kind {
	if n == nil {
		return Null
	}
	return n.kind
}

// Key returns the node's own key, or "" if its parent is not a map.
func (n *Node) Key() string {
	if n == nil {
		return ""
	}
	return n.key
}

// Text returns a scalar as text: the content of a string, a number or boolean as it was
// written, and the text of a ${...} whose content is a number, boolean, list or map. It
// returns "" for null, and for a list or map that does not come from ${...}.
func (n *Node) Text() string {
	switch {
	case n == nil:
		return ""
	case n.original != nil:
		return *n.original
	}
	return n.text
}

// Get returns the node at a path of keys, or nil if there is none.
func (n *Node) Get(keys ...string) *Node {
	for _, key := range keys {
		if n.Kind() != Map {
			return nil
		}
		n = n.child(key)
	}
	return n
}

func (n *Node) child(key string) *Node {
	for _, c := range n.children {
		if c.key == key {
			return c
		}
	}
	return nil
}

// Len returns the number of children.
func (n *Node) Len() int {
	if n == nil {
		return 0
	}
	return len(n.children)
}

// Children iterates over the values of a map or list in source order. The children
// of a map have a Key.
func (n *Node) Children() iter.Seq2[int, *Node] {
	return func(yield func(int, *Node) bool) {
		if n == nil {
			return
		}
		for i, c := range n.children {
			if !yield(i, c) {
				return
			}
		}
	}
}

// Lookup implements config.Value. It is Get for one key, with an untyped nil.
func (n *Node) Lookup(key string) config.Value {
	if c := n.Get(key); c != nil {
		return c
	}
	return nil
}

// Values implements config.Value. It is Children without the index.
func (n *Node) Values() iter.Seq[config.Value] {
	return func(yield func(config.Value) bool) {
		for _, c := range n.Children() {
			if !yield(c) {
				return
			}
		}
	}
}

// Pos returns the position of the value. A scalar that came from ${...} has the
// position of the ${...}; a list or map from ${file:...} has its position in that
// file.
func (n *Node) Pos() Pos {
	if n == nil {
		return Pos{}
	}
	return n.at.pos()
}

// KeyPos returns the position of the node's key, or Pos if it has none.
func (n *Node) KeyPos() Pos {
	if n == nil {
		return Pos{}
	}
	if n.keyAt.src == nil {
		return n.at.pos()
	}
	return n.keyAt.pos()
}

// Path returns the keys from the root, as in service.pipelines.traces.receivers[0].
// A key with characters other than letters, digits, _, - and / is written as
// ["a.b"].
func (n *Node) Path() string {
	if n == nil || n.parent == nil {
		return ""
	}
	var steps []string
	for ; n.parent != nil; n = n.parent {
		if n.parent.kind == List {
			steps = append(steps, "["+strconv.Itoa(n.index)+"]")
		} else {
			steps = append(steps, keyStep(n.key))
		}
	}
	path := ""
	for i := len(steps) - 1; i >= 0; i-- {
		path = joinPath(path, steps[i])
	}
	return path
}

func keyStep(key string) string {
	plain := key != "" && strings.IndexFunc(key, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '/')
	}) < 0
	if plain {
		return key
	}
	return "[" + strconv.Quote(key) + "]"
}

func joinPath(a, b string) string {
	if a == "" || b == "" || b[0] == '[' {
		return a + b
	}
	return a + "." + b
}

// Errorf returns an [Error] with the node's position. Its Err wraps the
// operands of %w.
func (n *Node) Errorf(format string, args ...any) error {
	return &Error{Pos: n.Pos(), Path: n.Path(), Err: fmt.Errorf(format, args...)}
}

// KeyErrorf is Errorf with the position of the node's key.
func (n *Node) KeyErrorf(format string, args ...any) error {
	return &Error{Pos: n.KeyPos(), Path: n.Path(), Err: fmt.Errorf(format, args...)}
}

// Raw returns the value as plain Go data: nil, bool, int, int64, uint64, float64, string, []any
// or map[string]any. A ${...} in quotes is a string, and so is a date: configurations have no
// type for it.
func (n *Node) Raw() any {
	switch {
	case n == nil:
		return nil
	case n.quoted && n.original != nil:
		return *n.original
	case n.kind == Timestamp:
		return n.text
	}
	return n.typed()
}

// typed is Raw without regard to quotes around the whole value.
func (n *Node) typed() any {
	switch n.Kind() {
	case Null:
		return nil
	case Map:
		m := make(map[string]any, len(n.children))
		for _, c := range n.children {
			m[c.key] = c.Raw()
		}
		return m
	case List:
		l := make([]any, len(n.children))
		for i, c := range n.children {
			l[i] = c.Raw()
		}
		return l
	}
	return n.scalar()
}

// scalar returns the Go value of a scalar node.
func (n *Node) scalar() any {
	if n.kind == String {
		return n.text
	}
	var v any
	y := yaml.Node{Kind: yaml.ScalarNode, Tag: tagOf(n.kind), Value: n.text}
	if err := y.Decode(&v); err != nil {
		return n.text // the parser rejects such nodes; see parser.scalar
	}
	return v
}

func tagOf(k Kind) string {
	return [...]string{"!!null", "!!bool", "!!int", "!!float", "!!timestamp", "!!str", "!!seq", "!!map"}[k]
}

// adopt makes n the parent of children.
func (n *Node) adopt(children []*Node) {
	n.children = children
	for i, c := range children {
		c.parent, c.index = n, i
	}
}

// become replaces the node's value; its place in the tree does not change.
func (n *Node) become(value *Node) {
	n.kind, n.text, n.original, n.hint, n.at = value.kind, value.text, value.original, value.hint, value.at // quoted stays
	n.adopt(value.children)
}

// found describes the value for "expected ..., found ...".
func (n *Node) found() string {
	origin := ""
	if n.from != "" {
		origin = " from " + n.from
	}
	switch n.kind {
	case Null:
		return "null" + origin
	case Map, List:
		return "a " + n.kind.String() + origin
	}
	if n.hint != "" {
		origin += "; " + n.hint
	}
	text := n.text
	if n.kind == String {
		text = shorten(text)
	}
	return fmt.Sprintf("%s (%s%s)", text, n.kind, origin)
}

// shorten quotes text and truncates it to fit on a line.
func shorten(text string) string {
	const maxRunes = 40
	if r := []rune(text[:min(len(text), 4*maxRunes+4)]); len(r) > maxRunes {
		return strconv.Quote(string(r[:maxRunes])) + "..."
	}
	return strconv.Quote(text)
}
