package push

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/penstock-telemetry/penstock/otlp"
)

// hasAttributes is a builder of a message with attributes.
type hasAttributes interface{ AddAttributes() otlp.KeyValueBuilder }

func writeResource(r otlp.ResourceBuilder, res *sdkresource.Resource) {
	for _, kv := range res.Attributes() {
		writeAttribute(r, kv)
	}
	r.Close()
}

func writeScope(b otlp.InstrumentationScopeBuilder, s instrumentation.Scope) {
	b.SetName(s.Name)
	b.SetVersion(s.Version)
	for _, kv := range s.Attributes.ToSlice() {
		writeAttribute(b, kv)
	}
	b.Close()
}

func writeSet(to hasAttributes, set attribute.Set) {
	for i := set.Iter(); i.Next(); {
		writeAttribute(to, i.Attribute())
	}
}

func writeAttribute(to hasAttributes, kv attribute.KeyValue) {
	b := to.AddAttributes()
	b.SetKey(string(kv.Key))
	writeAny(b.SetValue(), kv.Value)
	b.Close()
}

func writeAny(to otlp.AnyValueBuilder, v attribute.Value) {
	writeValue(to, v.AsInterface())
	to.Close()
}

func writeValue(to otlp.AnyValueBuilder, v any) {
	switch v := v.(type) {
	case string:
		to.SetStringValue(v)
	case bool:
		to.SetBoolValue(v)
	case int64:
		to.SetIntValue(v)
	case float64:
		to.SetDoubleValue(v)
	case []string:
		writeList(to, v)
	case []bool:
		writeList(to, v)
	case []int64:
		writeList(to, v)
	case []float64:
		writeList(to, v)
	case []byte:
		to.SetBytesValue(v)
	case attribute.Value:
		writeValue(to, v.AsInterface())
	case []attribute.Value:
		writeList(to, v)
	case []attribute.KeyValue:
		entries := to.SetKvlistValue()
		for _, kv := range v {
			b := entries.AddValues()
			b.SetKey(string(kv.Key))
			writeAny(b.SetValue(), kv.Value)
			b.Close()
		}
		entries.Close()
	}
}

func writeList[T any](to otlp.AnyValueBuilder, all []T) {
	list := to.SetArrayValue()
	for _, v := range all {
		item := list.AddValues()
		writeValue(item, v)
		item.Close()
	}
	list.Close()
}

func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}
