package differential

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

const (
	jsonPdataOnly side = "pdata takes the text, penstock refuses it"
	jsonPdataNot  side = "pdata refuses the text, penstock takes it"
	jsonMeaning   side = "pdata reads something else in the text"
)

// jsonReason is a listed difference in reading JSON. docs/compatibility.md has
// them with what the specification says.
type jsonReason struct {
	sides []side
	why   string
	found func(o *jsonOddities) bool
}

var jsonReasons = []jsonReason{
	{[]side{jsonPdataOnly}, "the text is not JSON: pdata ignores what follows the end, and accepts control characters in strings and the like",
		func(o *jsonOddities) bool { return o.invalid }},
	{[]side{jsonPdataOnly, jsonPdataNot, jsonMeaning}, "an empty key: pdata takes it for the end of the object",
		func(o *jsonOddities) bool { return o.emptyKey }},
	{[]side{jsonPdataOnly, jsonPdataNot, jsonMeaning}, "null: pdata refuses it for numbers, booleans, ids and bytes, and takes it for the whole request; in a oneof it means that the member is set",
		func(o *jsonOddities) bool { return o.null }},
	{[]side{jsonPdataNot}, "an integer with a fraction of zeros or an exponent, or -0 for one without a sign: protobuf's JSON has them",
		func(o *jsonOddities) bool { return o.fraction }},
	{[]side{jsonPdataOnly}, "a quoted number that Go reads and JSON does not have, such as +7, 007, inf, 0x1p-2",
		func(o *jsonOddities) bool { return o.looseText }},
	{[]side{jsonPdataNot}, "a number beyond a double in an unknown field: pdata reads it to skip it",
		func(o *jsonOddities) bool { return o.huge }},
	{[]side{jsonPdataNot}, "an id that is neither empty nor of its length: penstock hands it on",
		func(o *jsonOddities) bool { return o.id }},
	{[]side{jsonPdataNot}, "an escape in an id, a number or base64: pdata takes it as it stands",
		func(o *jsonOddities) bool { return o.escape }},
	{[]side{jsonPdataNot}, "base64 without padding or with the alphabet of URLs: protobuf's JSON has them",
		func(o *jsonOddities) bool { return o.base64 }},
	{[]side{jsonMeaning}, "members of a oneof more than once: pdata keeps the last, penstock writes both, and protobuf merges a message that follows itself",
		func(o *jsonOddities) bool { return o.oneof }},
	{[]side{jsonPdataOnly}, "values of more than 100 nested messages, unknown fields deeper than 512: pdata has no limit in JSON, or another",
		func(o *jsonOddities) bool { return o.deep }},
	{[]side{jsonPdataOnly, jsonPdataNot, jsonMeaning}, "references into the dictionary: penstock's Check refuses all that point outside, pdata those of attributes",
		func(o *jsonOddities) bool { return o.reference }},
}

func explainJSON(d side, o *jsonOddities) string {
	for _, r := range jsonReasons {
		for _, s := range r.sides {
			if s == d && r.found(o) {
				return r.why
			}
		}
	}
	return ""
}

// jsonByPenstock returns what the receiver would hand on.
func jsonByPenstock(s otlp.Signal, text []byte) (wire []byte, v verdict) {
	wire, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), s, text)
	if err != nil {
		return nil, verdict{err: err}
	}
	return wire, byPenstock(s, wire)
}

// jsonByPdata returns pdata's request as bytes.
func jsonByPdata(s otlp.Signal, text []byte) (wire []byte, v verdict) {
	r, items := newCollector(s)
	if err := r.UnmarshalJSON(text); err != nil {
		return nil, verdict{err: err}
	}
	v.items = items()
	wire, v.err = r.MarshalProto()
	return wire, v
}

// sameToPdata reports whether pdata reads in wire what it wrote as theirs. The
// official module merges what stands twice, which pdata does not.
func sameToPdata(s otlp.Signal, wire, theirs []byte) bool {
	m := testkit.NewMessage(s)
	if proto.Unmarshal(wire, m) == nil {
		if merged, err := proto.Marshal(m); err == nil {
			wire = merged
		}
	}
	r, _ := newCollector(s)
	if err := r.UnmarshalProto(wire); err != nil {
		return false
	}
	ours, err := r.MarshalProto()
	return err == nil && bytes.Equal(ours, theirs)
}

// JSON text: penstock and pdata say the same and read the same, but for the
// reasons listed. And what penstock takes is JSON, and a request.
func TestJSON(t *testing.T) {
	found := inParallel(t, func(t *testing.T, n uint64, found *tally) {
		rng := rand.New(rand.NewPCG(n, 2))
		for _, s := range otlp.Signals() {
			m := testkit.NewMessage(s)
			if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(testkit.Request(rng, s, rng.IntN(5)), m); err != nil {
				t.Error(err)
				return
			}
			wire, err := proto.Marshal(m)
			if err != nil {
				t.Error(err)
				return
			}
			texts := [][]byte{otlp.AppendJSON(nil, s, wire)}
			if r, _ := newCollector(s); r.UnmarshalProto(wire) == nil {
				if text, err := r.MarshalJSON(); err == nil {
					texts = append(texts, text)
				}
			}
			for _, text := range texts {
				o := scanJSON(text)
				compareJSON(t, s, n, text, found)
				for range 3 {
					compareJSON(t, s, n, mutateJSON(rng, text, o), found)
				}
			}
		}
	})
	t.Log(found)
	if all := found.requests; found.accepted["penstock"] < all/4 || found.accepted["penstock"] > all*9/10 {
		t.Errorf("%d of %d are accepted: the generator has lost its balance", found.accepted["penstock"], all)
	}
}

func compareJSON(t *testing.T, s otlp.Signal, n uint64, text []byte, found *tally) {
	if t.Failed() {
		return
	}
	wire, penstock := jsonByPenstock(s, text)
	theirs, pdata := jsonByPdata(s, text)
	found.requests++
	var d side
	switch {
	case penstock.ok() && !json.Valid(text):
		t.Errorf("seed %d, %s: penstock accepts invalid JSON:\n%q", n, s, text)
		return
	case penstock.ok() && !pdata.ok():
		d = jsonPdataNot
	case pdata.ok() && !penstock.ok():
		d = jsonPdataOnly
	case penstock.ok() && (penstock.items != pdata.items || !sameToPdata(s, wire, theirs)):
		d = jsonMeaning
	}
	if penstock.ok() {
		found.accepted["penstock"]++
	}
	if pdata.ok() {
		found.accepted["pdata"]++
	}
	if d == "" {
		return
	}
	why := explainJSON(d, scanJSON(text))
	if why == "" {
		t.Errorf("seed %d, %s: %s, and no listed reason applies\npenstock %v\npdata    %v\n%q", n, s, d, penstock, pdata, text)
	}
	found.reasons[string(d)+": "+why]++
}
