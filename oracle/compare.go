package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-telemetry/penstock/otlp"
)

// A Comparison says what of two results has to be equal.
type Comparison struct {
	// Unordered ignores the order of keys in attributes and maps.
	Unordered bool
	// UnorderedPoints ignores the order of data points.
	UnorderedPoints bool
	// IgnoreEmpty ignores resources and scopes without items, and metrics without
	// data points.
	IgnoreEmpty bool
	// Ignore are keys of JSON objects and of attributes that are not compared.
	Ignore []string
}

// mostDifferences is how many differences of one pair are listed.
const mostDifferences = 4

// Differences returns what differs between contrib's result and penstock's, a
// line each; nil if nothing.
func (c Comparison) Differences(contrib, penstock Result) []string {
	switch {
	case penstock.Panic != nil:
		return []string{fmt.Sprintf("penstock panicked: %.2000s", penstock.Panic)}
	case contrib.Panic != nil:
		return nil // there is nothing to be equal to
	case (contrib.Err != nil) != (penstock.Err != nil):
		return []string{fmt.Sprintf("error: contrib %.200s, penstock %.200s", text(contrib.Err), text(penstock.Err))}
	case contrib.Err != nil:
		return nil // what was sent before is dropped
	}
	return c.requests(c.notEmpty(contrib.Sent), c.notEmpty(penstock.Sent))
}

func text(err error) string {
	if err == nil {
		return "none"
	}
	return err.Error()
}

// notEmpty leaves out the requests without any resource: penstock does not send
// them.
func (c Comparison) notEmpty(list []Request) []Request {
	return slices.DeleteFunc(slices.Clone(list), func(r Request) bool {
		top, ok := c.canonical(tree(contribSignals[r.Signal], r.Bytes)).(map[string]any)
		delete(top, "dictionary")
		return ok && len(top) == 0
	})
}

func (c Comparison) requests(contrib, penstock []Request) []string {
	if len(contrib) != len(penstock) {
		return []string{fmt.Sprintf("requests sent: contrib %d, penstock %d", len(contrib), len(penstock))}
	}
	var d differ
	for i := range contrib {
		c.request(&d, contrib[i], penstock[i])
	}
	return d.list
}

func (c Comparison) request(d *differ, contrib, penstock Request) {
	if contrib.Signal != penstock.Signal {
		d.add("", "contrib sent %s, penstock %s", contrib.Signal, penstock.Signal)
		return
	}
	s := contribSignals[contrib.Signal]
	want, err := s.normalize(contrib.Bytes)
	if err != nil {
		d.add("", "decode what contrib sent: %v", err)
		return
	}
	got, err := s.normalize(penstock.Bytes)
	if err != nil {
		d.add("", "decode what penstock sent: %v", err)
		return
	}
	if bytes.Equal(want, got) {
		return
	}
	before := len(d.list)
	d.values("", c.canonical(tree(s, want)), c.canonical(tree(s, got)))
	if len(d.list) == before && c.exact() && contrib.Signal != otlp.Profiles {
		d.add("", "the same JSON, but other bytes: %d and %d", len(want), len(got))
	}
}

func (c Comparison) exact() bool {
	return !c.Unordered && !c.UnorderedPoints && !c.IgnoreEmpty && len(c.Ignore) == 0
}

func tree(s contribSignal, request []byte) (v any) {
	b, err := s.json(request)
	if err != nil {
		return fmt.Sprintf("encode as JSON: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return fmt.Sprintf("decode the JSON: %v", err)
	}
	return resolveProfiles(v)
}

// canonical removes from v what is not compared. It changes v.
func (c Comparison) canonical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if slices.Contains(c.Ignore, k) {
				delete(v, k)
				continue
			}
			v[k] = c.canonical(e)
			if c.IgnoreEmpty && contents[k] != nil {
				if v[k] = withContent(k, v[k]); v[k] == nil {
					delete(v, k)
					continue
				}
			}
			if list, ok := v[k].([]any); ok && c.UnorderedPoints && k == "dataPoints" {
				slices.SortFunc(list, byText)
			}
		}
	case []any:
		v = slices.DeleteFunc(v, func(e any) bool { k, ok := keyOf(e); return ok && slices.Contains(c.Ignore, k) })
		for i := range v {
			v[i] = c.canonical(v[i])
		}
		if c.Unordered && len(v) > 0 {
			if _, ok := keyOf(v[0]); ok {
				slices.SortStableFunc(v, byText)
			}
		}
		return v
	}
	return v
}

// contents are the fields of OTLP's JSON that hold what a request is about.
var contents = map[string][]string{
	"resourceSpans": {"scopeSpans"}, "scopeSpans": {"spans"},
	"resourceLogs": {"scopeLogs"}, "scopeLogs": {"logRecords"},
	"resourceMetrics": {"scopeMetrics"}, "scopeMetrics": {"metrics"}, "metrics": {"gauge", "sum", "histogram", "exponentialHistogram", "summary"},
	"gauge": {"dataPoints"}, "sum": {"dataPoints"}, "histogram": {"dataPoints"}, "exponentialHistogram": {"dataPoints"}, "summary": {"dataPoints"},
	"resourceProfiles": {"scopeProfiles"}, "scopeProfiles": {"profiles"},
}

// withContent returns the field v, called name, without elements that have no
// content; nil if nothing is left.
func withContent(name string, v any) any {
	inner := contents[name]
	if m, ok := v.(map[string]any); ok {
		if !hasAny(m, inner) {
			return nil
		}
		return m
	}
	list, ok := v.([]any)
	if !ok {
		return v
	}
	list = slices.DeleteFunc(list, func(e any) bool { m, ok := e.(map[string]any); return ok && !hasAny(m, inner) })
	if len(list) == 0 {
		return nil
	}
	return list
}

func hasAny(m map[string]any, keys []string) bool {
	return slices.ContainsFunc(keys, func(k string) bool {
		list, isList := m[k].([]any)
		_, is := m[k]
		return is && (!isList || len(list) > 0)
	})
}

func byText(a, b any) int { return strings.Compare(short(a, 1<<20), short(b, 1<<20)) }

// keyOf returns the key of an attribute. A key that is empty is not in the JSON.
func keyOf(v any) (string, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return "", false
	}
	if _, isAttribute := m["value"].(map[string]any); !isAttribute {
		return "", false
	}
	k, _ := m["key"].(string)
	return k, true
}

type differ struct{ list []string }

func (d *differ) add(path, format string, args ...any) {
	switch {
	case len(d.list) < mostDifferences:
		d.list = append(d.list, strings.TrimPrefix(path+": ", ": ")+fmt.Sprintf(format, args...))
	case len(d.list) == mostDifferences:
		d.list = append(d.list, "…")
	}
}

func (d *differ) values(path string, want, got any) {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			d.objects(path, w, g)
			return
		}
	case []any:
		if g, ok := got.([]any); ok {
			d.lists(path, w, g)
			return
		}
	default:
		if want == got {
			return
		}
	}
	d.add(path, "contrib %s, penstock %s", short(want, 120), short(got, 120))
}

func (d *differ) objects(path string, want, got map[string]any) {
	keys := map[string]bool{}
	for k := range want {
		keys[k] = true
	}
	for k := range got {
		keys[k] = true
	}
	sorted := make([]string, 0, len(keys))
	for k := range keys {
		sorted = append(sorted, k)
	}
	slices.Sort(sorted)
	for _, k := range sorted {
		w, inWant := want[k]
		g, inGot := got[k]
		at := path + "." + k
		if path == "" {
			at = k
		}
		switch {
		case !inWant:
			d.add(at, "contrib has none, penstock %s", short(g, 120))
		case !inGot:
			d.add(at, "contrib %s, penstock has none", short(w, 120))
		default:
			d.values(at, w, g)
		}
	}
}

func (d *differ) lists(path string, want, got []any) {
	if keysOf(want) != keysOf(got) {
		d.add(path, "keys: contrib %.200s, penstock %.200s", keysOf(want), keysOf(got))
		return
	}
	if len(want) != len(got) {
		d.add(path, "contrib has %d, penstock %d", len(want), len(got))
		return
	}
	for i := range want {
		at := path + "[" + strconv.Itoa(i) + "]"
		if k, ok := keyOf(want[i]); ok {
			at = path + "[" + k + "]"
		}
		d.values(at, want[i], got[i])
	}
}

func keysOf(list []any) string {
	var keys []string
	for _, e := range list {
		if k, ok := keyOf(e); ok {
			keys = append(keys, k)
		}
	}
	return strings.Join(keys, ",")
}

func short(v any, n int) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if len(b) > n {
		return string(b[:n]) + "…"
	}
	return string(b)
}
