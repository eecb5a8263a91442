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

// locate adds the parts of err to es, each with the most precise position
// possible.
func locate(es *config.Errors, p place, err error) {
	switch e := err.(type) {
	case nil:
	case *config.Error, config.Errors:
		es.Add(err)
	case *config.FieldError:
		for part := range strings.SplitSeq(e.Key, ".") {
			p = p.step(part)
		}
		locate(es, p, e.Err)
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

// step is child of a key that may have indices of lists behind it: "statements[2]".
func (p place) step(part string) place {
	key, indices, _ := strings.Cut(part, "[")
	if key != "" {
		p = p.child(key)
	}
	for index := range strings.SplitSeq(strings.TrimSuffix(indices, "]"), "][") {
		if i, err := strconv.Atoi(index); err == nil {
			p = p.item(i)
		}
	}
	return p
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
