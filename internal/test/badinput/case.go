package badinput

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-telemetry/penstock/otlp"
)

// The transports. The raw ones send body as it is.
const (
	overHTTP    = "http"    // HTTP/1.1 to the HTTP port
	overH2C     = "h2c"     // HTTP/2 without TLS to the HTTP port
	overGRPC    = "grpc"    // gRPC, written frame by frame
	overRawHTTP = "rawhttp" // bytes to the HTTP port
	overRawGRPC = "rawgrpc" // bytes to the gRPC port
)

var transports = []string{overHTTP, overH2C, overGRPC, overRawHTTP, overRawGRPC}

// A Case is one bad input on one transport for one signal.
type Case struct {
	Family, Name string
	Transport    string
	Signal       otlp.Signal
	Source       string

	format   string // protobuf, json
	method   string
	path     string
	encoding string
	headers  []string // "Name: value", "-Name"
	framed   bool     // gRPC: the body needs a prefix
	body     node     // nil: none
	want     want
	metric   []string
	conn     string // open, any
	shut     bool
}

// ID identifies the case.
func (c *Case) ID() string {
	return c.Family + "/" + c.Name + "/" + c.Transport + "/" + c.Signal.String()
}

// Bad says that the input must be refused. The others are unusual but valid.
func (c *Case) Bad() bool {
	return !slices.ContainsFunc(c.want.outcomes, func(o string) bool { return o == "200" || o == "OK" })
}

// server is the port that the case is sent to, as the receiver's metrics name it:
// grpc or http.
func (c *Case) server() string {
	if c.Transport == overGRPC || c.Transport == overRawGRPC {
		return "grpc"
	}
	return "http"
}

// expand multiplies the template by its transports, signals and eaches.
func (t *template) expand(family string) ([]Case, error) {
	over, signals := strings.Fields(t.get("over", "")), []otlp.Signal(nil)
	for _, name := range strings.Fields(t.get("signal", "")) {
		s, ok := otlp.SignalByName(name)
		switch {
		case name == "all":
			all := otlp.Signals()
			signals = all[:]
		case ok:
			signals = append(signals, s)
		default:
			return nil, fmt.Errorf("unknown signal %q", name)
		}
	}
	if len(over) == 0 || len(signals) == 0 {
		return nil, fmt.Errorf("expected over and signal, found %q and %d signals", over, len(signals))
	}
	var cases []Case
	for _, binding := range t.bindings() {
		for _, transport := range over {
			if !slices.Contains(transports, transport) {
				return nil, fmt.Errorf("unknown transport %q, expected one of %s", transport, strings.Join(transports, ", "))
			}
			for _, s := range signals {
				c, err := t.instance(family, transport, s, binding)
				if err != nil {
					return nil, fmt.Errorf("%s %s %v: %w", transport, s, binding, err)
				}
				cases = append(cases, c)
			}
		}
	}
	return cases, nil
}

// binding is a choice of one row of each.
type binding struct {
	labels []string
	values map[string]string
}

// bindings are all choices.
func (t *template) bindings() []binding {
	all := []binding{{values: map[string]string{}}}
	for _, s := range t.settings {
		if s.key != "each" {
			continue
		}
		var next []binding
		for _, b := range all {
			for _, r := range s.rows {
				more := binding{append(slices.Clone(b.labels), r.label), map[string]string{s.value: r.value}}
				for k, v := range b.values {
					more.values[k] = v
				}
				next = append(next, more)
			}
		}
		all = next
	}
	return all
}

// get returns the first of these values of key: the case's for the transport, the
// case's, the file's for the transport, the file's.
func (t *template) get(key, transport string) string {
	for i, s := range t.settings {
		if s.key != key {
			continue
		}
		if s.transport == transport {
			return s.value
		}
		if s.transport != "" {
			continue
		}
		for _, o := range t.settings[i:] { // on the same level, of the case or the file
			if o.key == key && o.transport == transport && t.own(o) == t.own(s) {
				return o.value
			}
		}
		return s.value
	}
	return ""
}

func (t *template) own(s setting) bool { return s.line >= t.line }

func (t *template) instance(family, transport string, s otlp.Signal, b binding) (Case, error) {
	c := Case{Family: family, Name: strings.Join(append([]string{t.name}, b.labels...), "/"), Transport: transport, Signal: s}
	var err error
	get := func(key, or string) string {
		v := t.get(key, transport)
		if v == "" {
			return or
		}
		v, e := t.fill(v, s, b)
		if e != nil && err == nil {
			err = fmt.Errorf("%s: %w", key, e)
		}
		return v
	}
	grpc := transport == overGRPC
	path := "$path"
	if grpc {
		path = "$rpc"
	}
	c.Source, c.format, c.method = get("source", ""), get("format", "protobuf"), get("method", "POST")
	if p, e := t.fill(get("path", path), s, b); e == nil {
		c.path = p
	}
	c.encoding, c.conn, c.shut = get("encoding", ""), get("conn", ""), get("after", "") == "shut"
	c.framed = grpc && get("framing", "") != "raw"
	for _, h := range t.settings {
		if h.key == "header" && (h.transport == "" || h.transport == transport) {
			v, e := t.fill(h.value, s, b)
			if e != nil {
				return c, fmt.Errorf("header: %w", e)
			}
			if strings.Contains(v, `\`) {
				if v, e = strconv.Unquote(`"` + v + `"`); e != nil {
					return c, fmt.Errorf("header: %w", e)
				}
			}
			c.headers = append(c.headers, v)
		}
	}
	if n, e := strconv.Atoi(get("padding", "0")); e != nil {
		return c, fmt.Errorf("padding: %w", e)
	} else if n > 0 {
		c.headers = append(c.headers, "x-padding: "+strings.Repeat("p", n))
	}
	wanted, metric, body := get("want", ""), get("metric", ""), get("body", "")
	if err != nil {
		return c, err
	}
	if c.want, err = parseWant(wanted); err != nil {
		return c, fmt.Errorf("want: %w", err)
	}
	if c.metric, err = parseMetric(metric); err != nil {
		return c, fmt.Errorf("metric: %w", err)
	}
	if body != "" {
		if c.body, err = parseExpr(body); err != nil {
			return c, fmt.Errorf("body: %w", err)
		}
	}
	return c, nil
}

var variable = regexp.MustCompile(`\$[a-z_]+`)

// fill replaces $names by the values of each, let and the signal's table. Values
// may contain $names too.
func (t *template) fill(text string, s otlp.Signal, b binding) (string, error) {
	var err error
	for range 8 {
		if !variable.MatchString(text) {
			return text, err
		}
		text = variable.ReplaceAllStringFunc(text, func(name string) string {
			name = name[1:]
			if v, ok := b.values[name]; ok {
				return v
			}
			if v, ok := t.lets[name]; ok {
				return v
			}
			if v, ok := names[s][name]; ok {
				return v
			}
			err = fmt.Errorf("unknown name $%s", name)
			return "?"
		})
	}
	return text, fmt.Errorf("%q refers to itself", text)
}
