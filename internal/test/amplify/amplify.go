// Package amplify has requests that make a component use much memory or time for few
// bytes: empty messages that each get something, text that grows when it is escaped,
// messages in parts that have to be merged, tables that are indexed. They compress to
// a thousandth, so that a few hundred bytes on the wire are enough.
package amplify

import (
	"bytes"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// A Request is one amplifier.
type Request struct {
	Name   string
	Signal otlp.Signal
	// Body is a valid export request.
	Body []byte
}

// Requests returns all amplifiers, with bodies of about n bytes.
func Requests(n int) (all []Request) {
	for _, a := range amplifiers {
		all = append(all, Request{a.name, a.signal, a.body(n)})
	}
	return all
}

// amplifier makes requests of about n bytes.
type amplifier struct {
	name   string
	signal otlp.Signal
	body   func(n int) []byte
}

var amplifiers = allAmplifiers()

func allAmplifiers() (all []amplifier) {
	add := func(name string, s otlp.Signal, body func(n int) []byte) {
		all = append(all, amplifier{name, s, body})
	}
	for _, s := range otlp.Signals() {
		add("empty resources", s, func(n int) []byte { return repeat(n, field(otlpfield.RequestResources, nil)) })
		add("empty scopes", s, func(n int) []byte {
			return field(otlpfield.RequestResources, repeat(n, field(otlpfield.ResourceXScopes, nil)))
		})
		add("empty items", s, func(n int) []byte { return items(repeat(n, field(otlpfield.ScopeXItems, nil))) })
		add("empty attributes", s, func(n int) []byte { return resource(repeat(n, field(otlpfield.ResourceAttributes, nil))) })
		add("a resource in parts", s, func(n int) []byte {
			return field(otlpfield.RequestResources, repeat(n, field(otlpfield.ResourceXResource, field(otlpfield.ResourceAttributes, nil))))
		})
	}
	for _, kind := range [][2]string{{"control characters", "\x01"}, {"line ends", "\n"}, {"quotes", `"`}, {"not UTF-8", "\xff"}, {"runes", "日"}} {
		name, text := kind[0], kind[1]
		add(name, otlp.Logs, func(n int) []byte {
			return logBody(wire.AppendBytes(nil, otlpfield.AnyValueStringValue, bytes.Repeat([]byte(text), n/len(text))))
		})
		add(name+" in an attribute", otlp.Traces, func(n int) []byte {
			return resource(field(otlpfield.ResourceAttributes, wire.AppendBytes(
				wire.AppendBytes(nil, otlpfield.KeyValueKey, "a"), otlpfield.KeyValueValue, wire.AppendBytes(nil, otlpfield.AnyValueStringValue, bytes.Repeat([]byte(text), n/len(text))))))
		})
	}
	add("bytes", otlp.Logs, func(n int) []byte {
		return logBody(wire.AppendBytes(nil, otlpfield.AnyValueBytesValue, make([]byte, n)))
	})
	add("metrics of one number", otlp.Metrics, func(n int) []byte {
		number := []byte{otlpfield.ExponentialHistogramAggregationTemporality<<3 | byte(wire.TypeVarint), 1}
		metric := field(otlpfield.ScopeXItems, field(otlpfield.MetricExponentialHistogram, number))
		return repeat(n, field(otlpfield.RequestResources, field(otlpfield.ResourceXScopes, metric)))
	})
	add("empty values", otlp.Logs, func(n int) []byte {
		return logBody(field(otlpfield.AnyValueArrayValue, repeat(n, field(otlpfield.ArrayValueValues, nil))))
	})
	add("empty keys", otlp.Logs, func(n int) []byte {
		return logBody(field(otlpfield.AnyValueKvlistValue, repeat(n, field(otlpfield.KeyValueListValues, nil))))
	})
	add("a value in parts", otlp.Logs, func(n int) []byte {
		return logBody(append(field(otlpfield.AnyValueArrayValue, nil), field(otlpfield.AnyValueArrayValue, repeat(n-n/8, field(otlpfield.ArrayValueValues, nil)))...))
	})
	add("nested values", otlp.Logs, func(n int) []byte { return nested(n) })
	for table := uint32(1); table <= otlpfield.ProfilesDictionaryStackTable; table++ {
		add("a dictionary of "+tables[table], otlp.Profiles, func(n int) []byte { return dictionary(n, table) })
	}
	add("a dictionary in parts", otlp.Profiles, func(n int) []byte {
		return repeat(n, field(otlpfield.ExportProfilesServiceRequestDictionary, field(otlpfield.ProfilesDictionaryStringTable, nil)))
	})
	add("values of a sample", otlp.Profiles, func(n int) []byte {
		return items(field(otlpfield.ScopeXItems, field(otlpfield.ProfileSamples, field(otlpfield.SampleValues, bytes.Repeat([]byte{1}, n)))))
	})
	add("negative values of a sample", otlp.Profiles, func(n int) []byte {
		return items(field(otlpfield.ScopeXItems, field(otlpfield.ProfileSamples, field(otlpfield.SampleValues,
			repeat(n, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})))))
	})
	return all
}

var tables = map[uint32]string{
	otlpfield.ProfilesDictionaryMappingTable: "mappings", otlpfield.ProfilesDictionaryLocationTable: "locations",
	otlpfield.ProfilesDictionaryFunctionTable: "functions", otlpfield.ProfilesDictionaryLinkTable: "links",
	otlpfield.ProfilesDictionaryStringTable: "strings", otlpfield.ProfilesDictionaryAttributeTable: "attributes",
	otlpfield.ProfilesDictionaryStackTable: "stacks",
}

func field(num uint32, value []byte) []byte { return wire.AppendBytes(nil, num, value) }

// repeat returns piece as often as fits in n bytes.
func repeat(n int, piece []byte) []byte { return bytes.Repeat(piece, n/len(piece)) }

func items(fields []byte) []byte {
	return field(otlpfield.RequestResources, field(otlpfield.ResourceXScopes, fields))
}

func resource(fields []byte) []byte {
	return field(otlpfield.RequestResources, field(otlpfield.ResourceXResource, fields))
}

func logBody(value []byte) []byte {
	return items(field(otlpfield.ScopeXItems, field(otlpfield.LogRecordBody, value)))
}

// dictionary is a table of empty entries, and a resource whose attributes refer to the
// dictionary, so that it is indexed.
func dictionary(n int, table uint32) []byte {
	reference := []byte{otlpfield.KeyValueKeyStrindex<<3 | byte(wire.TypeVarint), 1}
	body := resource(field(otlpfield.ResourceAttributes, reference))
	strings := append(field(otlpfield.ProfilesDictionaryStringTable, nil), field(otlpfield.ProfilesDictionaryStringTable, []byte("a"))...)
	return append(body, field(otlpfield.ExportProfilesServiceRequestDictionary, append(strings, repeat(n, field(table, nil))...))...)
}

// nested is log records with bodies that are lists in lists, as deep as is allowed by
// default.
func nested(n int) []byte {
	var value []byte
	for range (otlp.DefaultDepth - 1) / 2 {
		value = field(otlpfield.AnyValueArrayValue, field(otlpfield.ArrayValueValues, value))
	}
	return items(repeat(n, field(otlpfield.ScopeXItems, field(otlpfield.LogRecordBody, value))))
}
