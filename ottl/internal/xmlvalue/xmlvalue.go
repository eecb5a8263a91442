// Package xmlvalue writes XML as the values of OTLP, in the two forms that the Collector
// has: one with all that elements have, and a simplified one.
package xmlvalue

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// MaxDepth is how many elements may be in each other. Each is five messages in a value, of
// which a request may have about a hundred in each other.
const MaxDepth = 15

// element is an element, or the document.
type element struct {
	name     string
	attrs    []xml.Attr
	trimmed  string // all text, each piece without the spaces around it
	first    string // the first piece of text, as it is
	children []*element
	hasNodes bool // it has anything between its tags
}

var errDepth = fmt.Errorf("more than %d elements in each other", MaxDepth)

// AppendElement appends the one element that text is as the fields of a KeyValueList: tag,
// content, attributes and children.
func AppendElement(dst, text []byte) ([]byte, error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	var root *element
	for root == nil {
		t, err := d.Token()
		if err != nil {
			return dst, wrap(d, err)
		}
		if start, ok := t.(xml.StartElement); ok {
			root = newElement(start)
			if err := root.read(d, 1); err != nil {
				return dst, wrap(d, err)
			}
		}
	}
	if d.InputOffset() != int64(len(text)) {
		return dst, wrap(d, errors.New("unexpected text behind the element"))
	}
	w := writer{wire.Encoder{Buf: dst}}
	w.element(root)
	return w.Buf, nil
}

// AppendSimplified appends the elements of a text as the fields of a KeyValueList: elements
// with text as strings, those with elements as maps, those of equal names as lists.
// Attributes, and text beside elements, are left out.
func AppendSimplified(dst, text []byte) ([]byte, error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	document := &element{}
	if err := document.read(d, 0); err != nil && err != io.EOF {
		return dst, wrap(d, err)
	}
	if len(document.children) == 0 {
		return dst, wrap(d, io.EOF)
	}
	w := writer{wire.Encoder{Buf: dst}}
	w.simplified(document)
	return w.Buf, nil
}

func wrap(d *xml.Decoder, err error) error {
	if err == io.EOF {
		err = errors.New("there is no element")
	}
	return fmt.Errorf("parse XML, byte %d: %w", d.InputOffset(), err)
}

func newElement(start xml.StartElement) *element {
	return &element{name: start.Name.Local, attrs: start.Copy().Attr}
}

// read reads up to the end of the element, or of the document.
func (e *element) read(d *xml.Decoder, depth int) error {
	if depth > MaxDepth {
		return errDepth
	}
	hasText := false
	for {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			child := newElement(t)
			if err := child.read(d, depth+1); err != nil {
				return err
			}
			e.children = append(e.children, child)
		case xml.EndElement:
			e.hasNodes = e.children != nil || hasText
			return nil
		case xml.CharData:
			e.trimmed += string(bytes.TrimSpace(t))
			if !hasText {
				hasText, e.first = true, string(t)
			}
		}
	}
}

// writer writes entries of maps.
type writer struct{ wire.Encoder }

// entry begins an entry of a map, whose value f writes.
func (w *writer) entry(key string, f func()) {
	mark := w.Open(otlpfield.KeyValueListValues)
	w.String(otlpfield.KeyValueKey, key)
	inner := w.Open(otlpfield.KeyValueValue)
	f()
	w.Close(inner)
	w.Close(mark)
}

// message writes field num of the messages that f writes.
func (w *writer) message(num uint32, f func()) {
	mark := w.Open(num)
	f()
	w.Close(mark)
}

func (w *writer) text(key, text string) {
	w.entry(key, func() { w.String(otlpfield.AnyValueStringValue, text) })
}

// element writes all that an element has.
func (w *writer) element(e *element) {
	w.text("tag", e.name)
	if e.trimmed != "" {
		w.text("content", e.trimmed)
	}
	if len(e.attrs) > 0 {
		w.entry("attributes", func() { w.message(otlpfield.AnyValueKvlistValue, func() { w.attributes(e.attrs) }) })
	}
	if len(e.children) > 0 {
		w.entry("children", func() {
			w.message(otlpfield.AnyValueArrayValue, func() {
				for _, c := range e.children {
					w.message(otlpfield.ArrayValueValues, func() { w.message(otlpfield.AnyValueKvlistValue, func() { w.element(c) }) })
				}
			})
		})
	}
}

// attributes writes attributes, of equal names the last value at the place of the first.
func (w *writer) attributes(attrs []xml.Attr) {
	last := make(map[string]string, len(attrs))
	for _, a := range attrs {
		last[a.Name.Local] = a.Value
	}
	for _, a := range attrs {
		if v, ok := last[a.Name.Local]; ok {
			w.text(a.Name.Local, v)
			delete(last, a.Name.Local)
		}
	}
}

// simplified writes the elements in an element.
func (w *writer) simplified(e *element) {
	count := make(map[string]int, len(e.children))
	for _, c := range e.children {
		count[c.name]++
	}
	for i, c := range e.children {
		switch {
		case !c.hasNodes || count[c.name] < 0:
		case count[c.name] > 1:
			count[c.name] = -1 // done
			w.entry(c.name, func() { w.message(otlpfield.AnyValueArrayValue, func() { w.list(c.name, e.children[i:]) }) })
		default:
			if c.leaf() != "" {
				w.text(c.name, c.leaf())
			} else if c.hasValues() {
				w.entry(c.name, func() { w.message(otlpfield.AnyValueKvlistValue, func() { w.simplified(c) }) })
			}
		}
	}
}

// list writes the values of the elements of a name.
func (w *writer) list(name string, elements []*element) {
	for _, c := range elements {
		if c.name != name {
			continue
		}
		if c.leaf() != "" {
			w.message(otlpfield.ArrayValueValues, func() { w.String(otlpfield.AnyValueStringValue, c.leaf()) })
		} else if c.hasValues() {
			w.message(otlpfield.ArrayValueValues, func() { w.message(otlpfield.AnyValueKvlistValue, func() { w.simplified(c) }) })
		}
	}
}

// leaf returns the text of an element without elements.
func (e *element) leaf() string {
	if len(e.children) > 0 {
		return ""
	}
	return e.first
}

// hasValues reports whether simplified writes anything for an element.
func (e *element) hasValues() bool {
	count := make(map[string]int, len(e.children))
	for _, c := range e.children {
		count[c.name]++
	}
	for _, c := range e.children {
		if c.hasNodes && (count[c.name] > 1 || c.leaf() != "" || c.hasValues()) {
			return true
		}
	}
	return false
}
