package conf

import (
	"errors"
	"strings"
)

// keySeparator splits top-level keys into paths, as in "yaml:processors::batch::timeout: 2s".
const keySeparator = "::"

// add merges one source's tree into root. It ignores nil.
func (l *loader) add(root, from *Node) {
	if from == nil {
		return
	}
	if root.at.src == nil {
		root.at = from.at
	}
	nested := make([]*Node, 0, len(from.children))
	for _, c := range from.children {
		if n := l.nest(c); n != nil {
			nested = append(nested, n)
		}
	}
	merge(root, nested)
}

// nest turns "a::b: c" into "a: {b: c}".
func (l *loader) nest(n *Node) *Node {
	parts := strings.Split(n.key, keySeparator)
	if len(parts) == 1 && n.key != "" {
		return n
	}
	if len(parts) > maxDepth {
		l.fail(n.keyAt, errTooDeep)
		return nil
	}
	for i := len(parts) - 1; i >= 0; i-- {
		part := strings.TrimSpace(parts[i])
		if part == "" {
			l.fail(n.keyAt, errors.New("the key "+shorten(n.key)+" has an empty part"))
			return nil
		}
		n.key = part
		if i > 0 {
			outer := &Node{kind: Map, at: n.keyAt, keyAt: n.keyAt}
			outer.adopt([]*Node{n})
			outer.key = strings.Join(parts[:i], keySeparator)
			n = outer
		}
	}
	return n
}

// merge adds children to the map n. Maps are merged key by key; every other value,
// including lists and null, replaces the existing one.
func merge(n *Node, children []*Node) {
	at := make(map[string]int, len(n.children))
	for i, c := range n.children {
		at[c.key] = i
	}
	all := n.children
	for _, c := range children {
		i, ok := at[c.key]
		switch {
		case !ok:
			at[c.key] = len(all)
			all = append(all, c)
		case all[i].kind == Map && c.kind == Map:
			merge(all[i], c.children)
		default:
			all[i] = c
		}
	}
	n.adopt(all)
}
