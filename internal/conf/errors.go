package conf

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// maxErrors is the number of errors after which parsing, expanding and decoding
// stop.
const maxErrors = 1000

// A source is one text with nodes.
type source struct {
	name  string
	order int
}

// A mark is a Pos in a compact form, for trees of many nodes.
type mark struct {
	src       *source
	line, col int32
}

func (m mark) pos() config.Pos {
	if m.src == nil {
		return config.Pos{}
	}
	return config.Pos{Source: m.src.name, Line: int(m.line), Column: int(m.col), Order: m.src.order}
}

// place is the position of a value: its node or, for a value that the YAML does not
// mention, the nearest enclosing node and the path from there.
type place struct {
	node *Node
	rest string
}

func (p place) child(key string) place {
	if p.rest == "" {
		if c := p.node.Get(key); c != nil {
			return place{node: c}
		}
	}
	return place{node: p.node, rest: joinPath(p.rest, keyStep(key))}
}

// path follows a path such as "table[0].statement". A key of a map may contain dots.
func (p place) path(path string) place {
	for path != "" {
		if text, rest, ok := strings.Cut(path[1:], "]"); path[0] == '[' && ok {
			if i, err := strconv.Atoi(text); err == nil {
				p, path = p.item(i), strings.TrimPrefix(rest, ".")
				continue
			}
		}
		key := p.nextKey(path)
		p, path = p.child(key), strings.TrimPrefix(path[len(key):], ".")
	}
	return p
}

// nextKey returns the first key of a path: the longest one that the node has, or what
// is in front of the next dot or bracket.
func (p place) nextKey(path string) (key string) {
	if p.rest == "" && p.node.Kind() == Map {
		for _, c := range p.node.children {
			if rest, ok := strings.CutPrefix(path, c.key); ok && len(c.key) > len(key) && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				key = c.key
			}
		}
	}
	if key != "" {
		return key
	}
	if i := strings.IndexAny(path, ".["); i > 0 {
		return path[:i]
	}
	return path
}

// At returns err with the position of what the path names below the node, or the nearest
// node above it: "table[0].pipelines[1]".
func (n *Node) At(path string, err error) error {
	var es config.Errors
	locate(&es, place{node: n}.path(path), err)
	return es.Err()
}

// locate adds the parts of err to es, each with the most precise position
// possible.
func locate(es *config.Errors, p place, err error) {
	switch e := err.(type) {
	case nil:
	case *config.Error, config.Errors:
		es.Add(err)
	case *config.FieldError:
		locate(es, p.path(e.Key), e.Err)
	default:
		if parts, ok := config.Joined(err); ok {
			for _, part := range parts {
				locate(es, p, part)
			}
			return
		}
		*es = append(*es, &config.Error{Pos: p.node.Pos(), Path: joinPath(p.node.Path(), p.rest), Err: err})
	}
}

func (p place) item(i int) place {
	if p.rest == "" && p.node.Kind() == List && i < len(p.node.children) {
		return place{node: p.node.children[i]}
	}
	return place{node: p.node, rest: p.rest + "[" + strconv.Itoa(i) + "]"}
}

// entry is like child, for the key of a Go map.
func (p place) entry(key reflect.Value) place {
	if m, ok := key.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return p.child(string(text))
		}
	}
	return p.child(fmt.Sprint(key.Interface()))
}
