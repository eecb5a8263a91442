package pprofconv

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/otlp"
)

// label is an attribute in the form of pprof: texts, numbers with their unit, or both
// under one key.
type label struct {
	key     string
	texts   []string
	numbers []int64
	unit    string
}

// attribute returns the label for entry i of the attribute table; ok is false if there
// is none.
func (c *converter) attribute(i int32) (l *label, ok bool) {
	if l, ok = c.labels[i]; ok {
		return l, l != nil
	}
	kv := c.dict.Attribute(i).Decode()
	if made, has := labelOf(c.text(kv.KeyStrindex), c.text(kv.UnitStrindex), kv.Value.Resolve(c.dict)); has {
		l = &made
	}
	c.labels[i] = l
	return l, l != nil
}

// labelOf converts an attribute. ok is false if it has no key or no value.
//
//	string → text, int → number, bool and double → text
//	a list of strings and ints → texts and numbers
//	everything else → text, as JSON; bytes in base64
func labelOf(key, unit string, v otlp.Value) (l label, ok bool) {
	l = label{key: key, unit: unit}
	switch v.Kind() {
	case otlp.KindInt:
		l.numbers = []int64{v.Int()}
	case otlp.KindArray:
		if !l.addList(v) {
			l.texts, l.numbers = []string{string(v.AppendText(nil))}, nil
		}
	default:
		l.addText(string(v.AppendText(nil)))
	}
	return l, key != "" && len(l.texts)+len(l.numbers) > 0
}

func (l *label) addText(s string) {
	if s != "" {
		l.texts = append(l.texts, s)
	}
}

// addList returns false if an element is neither a string nor an int.
func (l *label) addList(v otlp.Value) bool {
	for e := range v.Array() {
		switch e.Kind() {
		case otlp.KindString:
			l.addText(string(e.Text()))
		case otlp.KindInt:
			l.numbers = append(l.numbers, e.Int())
		default:
			return false
		}
	}
	return true
}

// addTo adds the label to a sample. A list of units is as long as the list of numbers,
// or absent.
func (l *label) addTo(s *profile.Sample) {
	if len(l.texts) > 0 {
		if s.Label == nil {
			s.Label = map[string][]string{}
		}
		s.Label[l.key] = append(s.Label[l.key], l.texts...)
	}
	for _, n := range l.numbers {
		l.addNumber(s, n)
	}
}

func (l *label) addNumber(s *profile.Sample, n int64) {
	if s.NumLabel == nil {
		s.NumLabel, s.NumUnit = map[string][]int64{}, map[string][]string{}
	}
	unit := l.unit
	if n == 0 && unit == "" {
		unit = l.key // see the package comment
	}
	units := s.NumUnit[l.key]
	if unit != "" || units != nil {
		for len(units) < len(s.NumLabel[l.key]) {
			units = append(units, "")
		}
		s.NumUnit[l.key] = append(units, unit)
	}
	s.NumLabel[l.key] = append(s.NumLabel[l.key], n)
}

// linkLabels returns the ids of a link as labels. An id of zeros is none.
func linkLabels(link otlp.Link) (list []label) {
	f := link.Decode()
	for _, id := range []struct {
		key   string
		bytes []byte
	}{{LabelTraceID, f.TraceID}, {LabelSpanID, f.SpanID}} {
		if len(bytes.Trim(id.bytes, "\x00")) > 0 {
			list = append(list, label{key: id.key, texts: []string{hex.EncodeToString(id.bytes)}})
		}
	}
	return list
}

// nameOf returns a short name of the resource: its name and process id.
func nameOf(resource []label) string {
	first := func(keys ...string) string {
		for _, key := range keys {
			for _, l := range resource {
				if l.key == key && len(l.texts) > 0 {
					return l.texts[0]
				}
			}
		}
		return ""
	}
	name := first("service.name")
	if name == "" || strings.HasPrefix(name, "unknown_service") {
		name = first("process.executable.name")
	}
	if name == "" {
		if name = first("process.executable.path"); name != "" {
			name = path.Base(name)
		}
	}
	if name == "" {
		name = first("service.name", "k8s.container.name", "container.name", "k8s.pod.name", "container.id", "host.name")
	}
	for _, l := range resource {
		if l.key == "process.pid" && len(l.numbers) > 0 {
			return strings.TrimPrefix(fmt.Sprintf("%s (pid %d)", name, l.numbers[0]), " ")
		}
	}
	return name
}
