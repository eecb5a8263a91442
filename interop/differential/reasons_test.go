package differential

import (
	"fmt"

	"github.com/penstock-telemetry/penstock/otlp"
)

// verdict is what one decoder answers to a request.
type verdict struct {
	items int
	err   error
}

func (v verdict) ok() bool { return v.err == nil }

func (v verdict) String() string {
	if v.err != nil {
		return v.err.Error()
	}
	return fmt.Sprintf("%d items", v.items)
}

// side is which two differ, and how.
type side string

const (
	officialOnly  side = "the official module accepts, penstock refuses"
	officialNot   side = "the official module refuses, penstock accepts"
	pdataOnly     side = "pdata accepts, penstock refuses"
	pdataNot      side = "pdata refuses, penstock accepts"
	pdataCounts   side = "pdata counts otherwise"
	officialCount side = "the official module counts otherwise"
)

// reason is a listed difference.
type reason struct {
	side side
	why  string
	// found reports whether the reason is in the bytes.
	found func(s otlp.Signal, request []byte, o *oddities) bool
}

// pdataGroups is what comes of pdata's way of skipping a group: it stops behind
// the first field inside that is not a group, and misses an end that is the last
// byte of the message (ConsumeUnknown, pdata v1.71.0).
const pdataGroups = "a group in an unknown field: pdata takes what is in it for fields of the message around it, or misses its end"

const pdata1000 = "field 1000 of a ResourceX: pdata still knows it as the items of 2021; nobody has sent it since"

// reasons is the list. There is none for counting otherwise than the official
// module does.
var reasons = []reason{
	{officialOnly, "a known field has a wire type that it cannot have: the official module calls it unknown; pdata and penstock refuse it",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.mistyped }},
	{officialOnly, "an id of the wrong length: the official module takes any bytes; pdata and penstock refuse it",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.badID }},
	{officialOnly, "values of more than 100 nested messages: the official module stops at 10,000 messages",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.deepValue }},
	{officialOnly, "an index points outside its dictionary table: to the official module it is a number",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.outside }},
	{officialOnly, "groups in an unknown field nested deeper than 64: the official module stops at 10,000",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.deepGroup }},
	{officialNot, "a string is not UTF-8: penstock leaves that to the setting invalid_utf8; pdata accepts it",
		func(s otlp.Signal, b []byte, _ *oddities) bool { return otlp.FirstInvalidUTF8(s, b) != nil }},
	{pdataOnly, "a varint of more than 64 bits: pdata drops what does not fit",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.overflow }},
	{pdataOnly, "a field number above 2^29-1: pdata skips the field, or takes its number modulo 2^32",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.wideNumber }},
	{pdataOnly, "a group ended by another's end: pdata does not look at numbers in groups",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.groupEnd }},
	{pdataOnly, "groups in an unknown field nested deeper than 64: pdata has no limit",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.deepGroup }},
	{pdataOnly, "an index points outside its dictionary table: pdata resolves only references of attributes",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.outside }},
	{pdataNot, "a key beside a reference to a key, or a string that is reference 0 in a request without a string table",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.reference }},
	{pdataNot, pdataGroups, func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.group }},
	{pdataOnly, pdataGroups, func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.group }},
	{pdataCounts, pdataGroups, func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.group }},
	{pdataNot, pdata1000, func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.deprecated }},
	{pdataCounts, pdata1000, func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.deprecated }},
	{pdataCounts, "members of a oneof more than once: pdata keeps the last, penstock and the official module merge a message that follows itself",
		func(_ otlp.Signal, _ []byte, o *oddities) bool { return o.repeatedOne }},
}

// explain returns the reason for a difference, "" if none is found.
func explain(d side, s otlp.Signal, request []byte, o *oddities) string {
	for _, r := range reasons {
		if r.side == d && r.found(s, request, o) {
			return r.why
		}
	}
	return ""
}

// differences lists in which ways the verdicts differ.
func differences(penstock, official, pdata verdict) (out []side) {
	add := func(d side, yes bool) {
		if yes {
			out = append(out, d)
		}
	}
	add(officialOnly, official.ok() && !penstock.ok())
	add(officialNot, !official.ok() && penstock.ok())
	add(pdataOnly, pdata.ok() && !penstock.ok())
	add(pdataNot, !pdata.ok() && penstock.ok())
	add(officialCount, official.ok() && penstock.ok() && official.items != penstock.items)
	add(pdataCounts, pdata.ok() && penstock.ok() && pdata.items != penstock.items)
	return out
}
