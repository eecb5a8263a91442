package ottl

import (
	"strings"

	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl/syntax"
)

// Client is what is known of the sender of a request: the paths below otelcol.
type Client struct {
	Addr       string
	Metadata   map[string][]string // headers that the receiver keeps, keys in lower case
	Attributes map[string]string   // of the authenticated sender
}

// ClientFunc returns the sender of the request that a pass edits, nil if it is unknown.
type ClientFunc func(*otlpedit.Pass) *Client

// clientPath compiles a path below otelcol: what is known of the sender. It can only be
// read.
func (c *compiler) clientPath(p *syntax.Path) (*path, error) {
	var names []string
	last := p.Segments[len(p.Segments)-1]
	for _, s := range p.Segments[1:] {
		names = append(names, s.Name)
	}
	keys, err := c.keys(last.Keys)
	if err != nil {
		return nil, err
	}
	name := strings.Join(names, ".")
	var get func(e *Env, cl *Client) (Value, error)
	switch name {
	case "client.addr":
		if len(keys) > 0 {
			return nil, c.errorf(p.Pos, "%s takes no keys", pathText(p))
		}
		get = func(_ *Env, cl *Client) (Value, error) {
			if cl.Addr == "" {
				return Value{}, nil
			}
			return OfString(cl.Addr), nil
		}
	case "client.metadata", "grpc.metadata":
		get = metadataGetter(keys)
	case "client.auth.attributes":
		get = authGetter(keys)
	default:
		return nil, c.errorf(p.Pos, "unknown path otelcol.%s, expected otelcol.client.addr, otelcol.client.metadata, otelcol.client.auth.attributes or otelcol.grpc.metadata", name)
	}
	return &path{level: levelCache, get: func(e *Env) (Value, error) {
		cl := e.sender()
		if cl == nil {
			return Value{}, nil
		}
		return get(e, cl)
	}}, nil
}

// sender returns the sender of the request.
func (e *Env) sender() *Client {
	if e.client == nil || e.pass == nil {
		return nil
	}
	return e.client(e.pass)
}

func metadataGetter(keys []key) func(*Env, *Client) (Value, error) {
	return func(e *Env, cl *Client) (Value, error) {
		if len(keys) == 0 {
			var b MapBuilder
			for k, v := range cl.Metadata {
				b.Add([]byte(k), listOfStrings(v))
			}
			return b.Value(), nil
		}
		name, err := keys[0].name(e)
		if err != nil {
			return Value{}, err
		}
		values := cl.Metadata[strings.ToLower(name)]
		if values == nil {
			return Value{}, nil
		}
		return e.index(listOfStrings(values), keys[1:])
	}
}

func authGetter(keys []key) func(*Env, *Client) (Value, error) {
	return func(e *Env, cl *Client) (Value, error) {
		if len(keys) == 0 {
			var b MapBuilder
			for k, v := range cl.Attributes {
				b.Add([]byte(k), OfString(v))
			}
			return b.Value(), nil
		}
		name, err := keys[0].name(e)
		if err != nil {
			return Value{}, err
		}
		v, ok := cl.Attributes[name]
		if !ok {
			return Value{}, nil
		}
		return e.index(OfString(v), keys[1:])
	}
}

func listOfStrings(list []string) Value {
	var b ListBuilder
	for _, s := range list {
		b.Add(OfString(s))
	}
	return b.Value()
}
