package otlpclient

import (
	"strings"
	"testing"
)

func TestJSONAnswers(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Answer{
		`{}`:                      {},
		`{"partialSuccess":{}}`:   {},
		`{"partialSuccess":null}`: {},
		`{"unknown":[1]}`:         {},
		`{"partialSuccess":{"rejectedSpans":"3","errorMessage":"a\nb"}}`:  {Rejected: 3, Message: "a b"},
		`{"partialSuccess":{"rejectedDataPoints":4}}`:                     {Rejected: 4},
		`{"partialSuccess":{"rejectedLogRecords":"5"}}`:                   {Rejected: 5},
		`{"partialSuccess":{"rejectedProfiles":null,"errorMessage":"w"}}`: {Message: "w"},
	} {
		if got := settleJSON([]byte(body)); got != want {
			t.Errorf("%s: got %+v, want %+v", body, got, want)
		}
	}
	for body, want := range map[string]string{
		`{`: "not an OTLP response in JSON",
		`{"partialSuccess":{"rejectedSpans":"x"}}`: "not an OTLP response in JSON",
		`{"partialSuccess":{"rejectedSpans":-1}}`:  "a negative number",
	} {
		if got := settleJSON([]byte(body)); got.Warning == nil || !strings.Contains(got.Warning.Error(), want) || got.Rejected != 0 {
			t.Errorf("%s: got %+v", body, got)
		}
	}
}
