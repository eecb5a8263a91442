package interop

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// pdataMessage is what pdata's four requests have in common.
type pdataMessage interface {
	UnmarshalJSON([]byte) error
	MarshalJSON() ([]byte, error)
	UnmarshalProto([]byte) error
	MarshalProto() ([]byte, error)
}

func newPdata(s otlp.Signal) pdataMessage {
	return [...]func() pdataMessage{
		otlp.Traces:   func() pdataMessage { return ptraceotlp.NewExportRequest() },
		otlp.Metrics:  func() pdataMessage { return pmetricotlp.NewExportRequest() },
		otlp.Logs:     func() pdataMessage { return plogotlp.NewExportRequest() },
		otlp.Profiles: func() pdataMessage { return pprofileotlp.NewExportRequest() },
	}[s]()
}

// pdataOf returns the bytes that pdata writes for wire bytes that it reads.
func pdataOf(s otlp.Signal, wire []byte) ([]byte, error) {
	r := newPdata(s)
	if err := r.UnmarshalProto(wire); err != nil {
		return nil, err
	}
	return r.MarshalProto()
}

func pdataOfJSON(s otlp.Signal, text []byte) ([]byte, error) {
	r := newPdata(s)
	if err := r.UnmarshalJSON(text); err != nil {
		return nil, err
	}
	return r.MarshalProto()
}

func penstockOfJSON(s otlp.Signal, text []byte) ([]byte, error) {
	wire, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), s, text)
	if err != nil {
		return nil, err
	}
	// By way of the official module, which merges what stands twice; pdata does
	// not merge members of oneofs.
	m := testkit.NewMessage(s)
	if err := proto.Unmarshal(wire, m); err != nil {
		return pdataOf(s, wire) // a string is not UTF-8
	}
	if wire, err = proto.Marshal(m); err != nil {
		return nil, err
	}
	return pdataOf(s, wire)
}

// official returns a request as the official module writes it: merged, and
// without fields that nobody knows, some of which pdata cannot read.
func official(t *testing.T, s otlp.Signal, request []byte) []byte {
	t.Helper()
	m := testkit.NewMessage(s)
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(request, m); err != nil {
		t.Fatal(err)
	}
	wire, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// Random requests go from each side's writer to each side's reader, and are the
// same afterwards.
func TestJSONToAndFromPdata(t *testing.T) {
	compared := map[otlp.Signal]int{}
	for n := range uint64(300) {
		rng := rand.New(rand.NewPCG(n, 3))
		for _, s := range otlp.Signals() {
			wire := official(t, s, testkit.Request(rng, s, 1+rng.IntN(4)))
			want, err := pdataOf(s, wire)
			if err != nil && s == otlp.Profiles {
				continue // pdata resolves references, and refuses index 0
			}
			r := newPdata(s)
			if err := errors.Join(err, r.UnmarshalProto(wire)); err != nil {
				t.Fatal(err)
			}
			theirs, err := r.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			compared[s]++
			ours := otlp.AppendJSON(nil, s, wire)
			for _, c := range []struct {
				name string
				text []byte
				read func(otlp.Signal, []byte) ([]byte, error)
			}{
				{"pdata's text in penstock", theirs, penstockOfJSON},
				{"penstock's text in pdata", ours, pdataOfJSON},
				{"penstock's text in penstock", ours, penstockOfJSON},
			} {
				got, err := c.read(s, c.text)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s: %s: %v\n%s\ngot  %x\nwant %x", s, c.name, err, c.text, got, want)
				}
			}
		}
	}
	for _, s := range otlp.Signals() {
		if compared[s] < 30 {
			t.Errorf("%s: only %d requests compared", s, compared[s])
		}
	}
}

// verdict is what the two readers make of a text.
type verdict string

const (
	same         verdict = "both take it and mean the same"
	neither      verdict = "both refuse it"
	pdataOnly    verdict = "pdata takes it, penstock refuses it"
	penstockOnly verdict = "penstock takes it, pdata refuses it"
	differ       verdict = "both take it and mean something else"
)

// judgeJSON runs both.
func judgeJSON(s otlp.Signal, text []byte) verdict {
	theirs, theirErr := pdataOfJSON(s, text)
	room := make([]byte, 0, otlp.MaxWireBytes(len(text)))
	_, ourErr := otlp.DecodeJSON(room, s, text)
	switch {
	case ourErr != nil && theirErr != nil:
		return neither
	case ourErr != nil:
		return pdataOnly
	case theirErr != nil:
		return penstockOnly
	}
	if ours, err := penstockOfJSON(s, text); err != nil || !bytes.Equal(ours, theirs) {
		return differ
	}
	return same
}

func spanText(fields string) string {
	return `{"resourceSpans":[{"scopeSpans":[{"spans":[{` + fields + `}]}]}]}`
}

func valueText(fields string) string {
	return spanText(`"attributes":[{"key":"k","value":{` + fields + `}}]`)
}

// Where pdata's JSON and penstock's agree and where not. docs/compatibility.md
// lists the differences with their reasons.
func TestJSONVerdicts(t *testing.T) {
	for _, c := range []struct {
		text string
		want verdict
	}{
		{`{}`, same},
		{` { } `, same},
		{spanText(`"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","kind":2`), same},
		{`{"resource_spans":[{"scope_spans":[{"spans":[{"trace_id":"5B8EFFF798038103D269B633813FC60C"}]}]}]}`, same},
		{spanText(`"kind":"SPAN_KIND_SERVER"`), same},
		{spanText(`"kind":"SERVER"`), neither},
		{spanText(`"kind":"2"`), neither},
		{spanText(`"name":null,"status":null,"attributes":null`), same},
		{spanText(`"name":"a","name":"b","status":{"code":1},"status":{"message":"m"}`), same},
		{spanText(`"startTimeUnixNano":18446744073709551615,"endTimeUnixNano":"18446744073709551615"`), same},
		{spanText(`"startTimeUnixNano":"18446744073709551616"`), neither},
		{spanText(`"droppedEventsCount":-1`), neither},
		{spanText(`"droppedEventsCount":1.5`), neither},
		{spanText(`"unknown":{"a":[1,"x",null]}`), same},
		{valueText(`"intValue":"-9223372036854775808"`), same},
		{valueText(`"intValue":1,"stringValue":"a"`), same},
		{valueText(`"doubleValue":"NaN"`), same},
		{valueText(`"doubleValue":"-Infinity"`), same},
		{valueText(`"doubleValue":1e999`), neither},
		{valueText(`"bytesValue":"+/8="`), same},
		{valueText(`"bytesValue":"+/8=="`), neither},
		{valueText(`"stringValue":"\u00e9\ud83d\ude00 \ud83d x"`), same},
		{valueText(`"stringValue":"\q"`), neither},
		{valueText("\"stringValue\":\"a\xff\""), same},
		{valueText(`"arrayValue":{"values":[null]}`), same},
		{`{"resourceSpans":[null,{}]}`, same},
		{`{"resourceSpans":{}}`, neither},
		{`[]`, neither},
		{``, neither},
		{`{"resourceSpans":[]`, neither},
		{"\ufeff{}", neither},

		// What pdata drops or cannot see.
		{`{"":0,"resourceSpans":[{"schemaUrl":"u"}]}`, differ},
		{`{} garbage`, pdataOnly},
		{`{"resourceSpans":[]}}`, pdataOnly},
		{`null`, pdataOnly},
		{`{"resourceSpans":[],}`, neither},

		// Ids.
		{spanText(`"traceId":""`), same},
		{spanText(`"traceId":"5b8e"`), neither},
		{spanText(`"traceId":"\u0035B8EFFF798038103D269B633813FC60C"`), penstockOnly},
		{spanText(`"traceId":null`), penstockOnly},
		{spanText(`"traceId":"xx8EFFF798038103D269B633813FC60C"`), neither},

		// Numbers.
		{spanText(`"startTimeUnixNano":null`), penstockOnly},
		{spanText(`"startTimeUnixNano":"1e3"`), penstockOnly},
		{spanText(`"startTimeUnixNano":1e3`), penstockOnly},
		{valueText(`"intValue":7.0`), penstockOnly},
		{valueText(`"intValue":"+7"`), pdataOnly},
		{valueText(`"intValue":"007"`), pdataOnly},
		{valueText(`"intValue":007`), neither},
		{valueText(`"intValue":-0`), same},
		{valueText(`"doubleValue":"inf"`), pdataOnly},
		{valueText(`"doubleValue":"0x1p-2"`), pdataOnly},
		{valueText(`"doubleValue":1.`), neither},
		{valueText(`"boolValue":null`), penstockOnly},

		// Strings.
		{valueText("\"stringValue\":\"a\nb\""), neither},
		{valueText("\"stringValue\":\"\\t a\nb\""), pdataOnly},
		{valueText(`"bytesValue":"-_8="`), penstockOnly},
		{valueText(`"bytesValue":"+/8"`), penstockOnly},
		{valueText(`"bytesValue":"+\/8="`), penstockOnly},
		{valueText(`"bytesValue":null`), penstockOnly},

		// Oneofs.
		{valueText(`"intValue":1,"stringValue":null`), differ},
		{valueText(`"arrayValue":{"values":[{}]},"arrayValue":{"values":[{}]}`), differ},

		// Nesting.
		{valueText(strings.Repeat(`"arrayValue":{"values":[{`, 49) + strings.Repeat(`}]}`, 49)), same},
		{valueText(strings.Repeat(`"arrayValue":{"values":[{`, 50) + strings.Repeat(`}]}`, 50)), pdataOnly},
		{`{"x":` + strings.Repeat("[", 512) + strings.Repeat("]", 512) + `}`, same},
		{`{"x":` + strings.Repeat("[", 513) + strings.Repeat("]", 513) + `}`, pdataOnly},
	} {
		if got := judgeJSON(otlp.Traces, []byte(c.text)); got != c.want {
			_, theirErr := pdataOfJSON(otlp.Traces, []byte(c.text))
			_, ourErr := penstockOfJSON(otlp.Traces, []byte(c.text))
			t.Errorf("%.200q: %s, not: %s\npenstock: %v\npdata:    %v", c.text, got, c.want, ourErr, theirErr)
		}
	}
}
