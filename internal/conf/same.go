package conf

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// WriteCanonical writes a text that two nodes have in common only if every Go value that
// they can be decoded into is the same. Positions, comments and the order of the keys of
// maps have no influence.
func (n *Node) WriteCanonical(w io.Writer) {
	if n == nil {
		fmt.Fprint(w, "absent;")
		return
	}
	original := ""
	if n.original != nil {
		original = "=" + *n.original
	}
	fmt.Fprintf(w, "%d %t %q %q %d;", n.kind, n.quoted, n.text, original, len(n.children))
	children := n.children
	if n.kind == Map {
		children = slices.SortedFunc(slices.Values(children), func(a, b *Node) int { return cmp.Compare(a.key, b.key) })
	}
	for _, c := range children {
		fmt.Fprintf(w, "%q:", c.key)
		c.WriteCanonical(w)
	}
}
