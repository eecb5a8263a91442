package testkit

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/otlp"
)

// attributeList is what ExpandAttributes replaces.
var attributeList = regexp.MustCompile(`@\(([^)]*)\)`)

// ExpandAttributes replaces @(key=value,…) by a list of attributes with strings as OTLP/JSON
// has it.
func ExpandAttributes(json string) string {
	return attributeList.ReplaceAllStringFunc(json, func(s string) string {
		var list []string
		for kv := range strings.SplitSeq(strings.Trim(s, "@()"), ",") {
			if k, v, ok := strings.Cut(kv, "="); ok {
				list = append(list, fmt.Sprintf(`{"key":%q,"value":{"stringValue":%q}}`, k, v))
			}
		}
		return "[" + strings.Join(list, ",") + "]"
	})
}

// RequestOf returns the request that is in OTLP/JSON, after ExpandAttributes.
func RequestOf(t testing.TB, s otlp.Signal, json string) []byte {
	t.Helper()
	text := ExpandAttributes(json)
	b, err := otlp.DecodeJSON(make([]byte, 0, 2*len(text)+64), s, []byte(text))
	if err != nil {
		t.Fatalf("%v: %.400s", err, json)
	}
	return b
}

// SameRequest reports an error unless a request is the one that is in OTLP/JSON, whatever
// the order of its fields.
func SameRequest(t testing.TB, s otlp.Signal, request []byte, json string) {
	t.Helper()
	got, want := NewMessage(s), NewMessage(s)
	if err := proto.Unmarshal(request, got); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(RequestOf(t, s, json), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("got  %.2000s\nwant %.2000s", protojson.MarshalOptions{}.Format(got), protojson.MarshalOptions{}.Format(want))
	}
}
