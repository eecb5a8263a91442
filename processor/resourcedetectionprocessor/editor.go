package resourcedetectionprocessor

import (
	"bytes"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// editor sets the attributes of a result on each resource of a request.
type editor struct {
	detection *detection
	override  bool
	result    *result // that of the present request
	seen      []bool  // by attribute of result
}

// Edit implements otlpedit.Editor.
func (e *editor) Edit(p *otlpedit.Pass, _ otlpedit.Levels, resource []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	if !e.begin() {
		return otlpedit.Keep, nil
	}
	if len(p.SchemaURL()) == 0 && len(e.result.schemaURL) > 0 {
		p.SetSchemaURL(e.result.schemaURL)
	}
	clear(e.seen)
	copied, changed := 0, false
	for c := (wire.Cursor{Buf: resource}); c.Next(); {
		if c.Num != otlpfield.ResourceAttributes || c.Type != wire.TypeBytes {
			continue
		}
		f := otlp.KeyValue(c.Bytes).Decode()
		i, found := e.result.index[string(p.KeyOf(f))]
		if !found || e.seen[i] { // of equal keys the first counts
			continue
		}
		e.seen[i] = true
		value := e.result.attributes[i].value
		if !e.override || bytes.Equal(f.Value, value) {
			continue
		}
		w.Raw(resource[copied:c.Start])
		w.AttributeWithValue(otlpfield.ResourceAttributes, c.Bytes, value)
		copied, changed = c.End, true
	}
	if !changed && !e.missing() {
		return otlpedit.Keep, nil
	}
	w.Raw(resource[copied:])
	for i, a := range e.result.attributes {
		if !e.seen[i] {
			w.Attribute(otlpfield.ResourceAttributes, a.key, a.value)
		}
	}
	return otlpedit.Replace, nil
}

// begin takes the result for a request, and reports whether there is anything to set.
func (e *editor) begin() bool {
	if e.result == nil {
		if e.result = e.detection.result.Load(); e.result == nil {
			return false
		}
		if n := len(e.result.attributes); n != len(e.seen) {
			e.seen = make([]bool, n)
		}
	}
	return len(e.result.attributes) > 0 || len(e.result.schemaURL) > 0
}

// missing reports whether the resource lacks an attribute.
func (e *editor) missing() bool {
	for _, seen := range e.seen {
		if !seen {
			return true
		}
	}
	return false
}

// End implements otlpedit.Editor.
func (e *editor) End() { e.result = nil }
