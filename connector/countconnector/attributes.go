package countconnector

import (
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
)

// pointAttributes are the fields of the attributes of data points, by that of their metric.
var pointAttributes = map[uint32]uint32{
	otlpfield.MetricGauge:                otlpfield.NumberDataPointAttributes,
	otlpfield.MetricSum:                  otlpfield.NumberDataPointAttributes,
	otlpfield.MetricHistogram:            otlpfield.HistogramDataPointAttributes,
	otlpfield.MetricExponentialHistogram: otlpfield.ExponentialHistogramDataPointAttributes,
	otlpfield.MetricSummary:              otlpfield.SummaryDataPointAttributes,
}

// appendAttribute appends an attribute of message m, its scope, or its resource to the key. It
// returns false if none of them has it.
func (n *counter) appendAttribute(k *kind, m []byte, key string) bool {
	num := k.attributes
	switch {
	case k.signal.Spec().HasDictionary: // it refers to its attributes
		if v, ok := n.tester.Attribute(ottl.ContextOf(k.context), key); ok {
			n.key = ottl.AppendKeyValue(n.key, otlpfield.NumberDataPointAttributes, []byte(key), v)
			return true
		}
	case num == 0:
		num = n.pointAttributes
	}
	v, ok := find(n.at, m, num, key)
	if !ok {
		v, ok = n.around(key)
	}
	if ok {
		n.key = appendKeyValue(n.key, otlpfield.NumberDataPointAttributes, []byte(key), v)
	}
	return ok
}

// outer is the value of an attribute of the scope, or else of the resource, that the pass
// is in. It is looked for once for each scope, since many items may ask for it.
type outer struct {
	resource, scope int // the numbers of those that it was looked for in
	value           []byte
	ok              bool
}

// around returns the value of an attribute of the present scope or resource.
func (n *counter) around(key string) ([]byte, bool) {
	o := n.outer[key]
	if o == nil {
		o = &outer{}
		n.outer[key] = o
	}
	if r, s := n.at.Number(otlpedit.Resources), n.at.Number(otlpedit.Scopes); o.resource != r || o.scope != s {
		*o = outer{resource: r, scope: s}
		if o.value, o.ok = find(n.at, n.at.Scope(), otlpfield.InstrumentationScopeAttributes, key); !o.ok {
			o.value, o.ok = find(n.at, n.at.Resource(), otlpfield.ResourceAttributes, key)
		}
	}
	return o.value, o.ok
}

// dataOf returns the field of a metric that its data points are in, 0 if it has none.
func dataOf(metric []byte) (num uint32) {
	for c := (wire.Cursor{Buf: metric}); c.Next(); {
		if pointAttributes[c.Num] != 0 && c.Type == wire.TypeBytes {
			num = c.Num
		}
	}
	return num
}

// find returns the value of the first attribute with a key in field num of m: an AnyValue.
func find(p *otlpedit.Pass, m []byte, num uint32, key string) (value []byte, ok bool) {
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		if c.Num != num || c.Type != wire.TypeBytes {
			continue
		}
		if f := otlp.KeyValue(c.Bytes).Decode(); string(p.KeyOf(f)) == key {
			return resolved(p, f.Value), true
		}
	}
	return nil, false
}

// resolved returns an AnyValue, with a string in the place of a reference to one.
func resolved(p *otlpedit.Pass, value []byte) []byte {
	if !p.Signal().Spec().HasDictionary {
		return value
	}
	u := otlp.AnyValue(value).Value()
	if u.Num != otlpfield.AnyValueStringValueStrindex {
		return value
	}
	return wire.AppendBytes(nil, otlpfield.AnyValueStringValue, p.String(int32(u.Scalar)))
}

func appendKeyValue(dst []byte, num uint32, key, value []byte) []byte {
	e := wire.Encoder{Buf: dst}
	mark := e.Open(num)
	e.Bytes(otlpfield.KeyValueKey, key)
	e.Bytes(otlpfield.KeyValueValue, value)
	e.Close(mark)
	return e.Buf
}

// copyAttributes makes the attributes of a resource those of the present one, without
// references.
func (n *counter) copyAttributes(p *otlpedit.Pass, m []byte) error {
	refers := p.Signal().Spec().HasDictionary
	if err := n.reserve(len(m)); err != nil {
		return err
	}
	n.resource = slices.Grow(n.resource, len(m))
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		switch {
		case c.Num != otlpfield.ResourceAttributes || c.Type != wire.TypeBytes:
		case !refers:
			n.resource = append(n.resource, m[c.Start:c.End]...)
		default:
			f := otlp.KeyValue(c.Bytes).Decode()
			key, value := p.KeyOf(f), resolved(p, f.Value)
			if err := n.reserve(3 * (len(key) + len(value) + groupBytes)); err != nil { // with the copies that append makes
				return err
			}
			n.resource = appendKeyValue(n.resource, otlpfield.ResourceAttributes, key, value)
		}
	}
	return nil
}
