// Package promises holds the test of what the OTLP receiver and the fan-out
// promise to those who build on them, in terms of the public API alone. Each
// promise is one subtest of TestPromises, whose name states it.
package promises

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestPromises(t *testing.T) {
	for _, promise := range []struct {
		text string
		test func(*testing.T)
	}{
		{"signals that share a configuration share one receiver, which binds once", oneReceiver},
		{"pipelines of a service that name one receiver share it", oneReceiverInService},
		{"after shutdown the same configuration makes a new receiver", recreated},
		{"a fan-out to one consumer is that consumer", unwrapped},
		{"consumers that only read share the same bytes", sharedBytes},
		{"a consumer that changes a batch does not change what another one sees", isolated},
		{"the last of several consumers that all change batches has the batch alone", lastHasItAlone},
		{"all consumers are called, and their errors are joined and classified", joinedErrors},
		{"accepted, refused and failed items are counted by signal and transport", counted},
	} {
		t.Run(promise.text, promise.test)
	}
}

// requests are the four signals' requests in JSON: what is around the items, and
// an item.
var requests = map[otlp.Signal]struct{ around, item string }{
	otlp.Traces:   {`{"resourceSpans":[{%s,"scopeSpans":[{"spans":[%s]}]}]}`, `{"traceId":"0123456789abcdef0123456789abcdef","spanId":"0123456789abcdef","name":"GET /"}`},
	otlp.Metrics:  {`{"resourceMetrics":[{%s,"scopeMetrics":[{"metrics":[{"name":"queue.length","gauge":{"dataPoints":[%s]}}]}]}]}`, `{"timeUnixNano":"1","asInt":"7"}`},
	otlp.Logs:     {`{"resourceLogs":[{%s,"scopeLogs":[{"logRecords":[%s]}]}]}`, `{"timeUnixNano":"1","body":{"stringValue":"hello"}}`},
	otlp.Profiles: {`{"resourceProfiles":[{%s,"scopeProfiles":[{"profiles":[{"samples":[%s]}]}]}]}`, `{"timestampsUnixNano":["1"]}`},
}

// request returns a request of signal s with n items.
func request(t *testing.T, s otlp.Signal, n int) []byte {
	t.Helper()
	r := requests[s]
	items := strings.TrimSuffix(strings.Repeat(r.item+",", n), ",")
	text := fmt.Sprintf(r.around, `"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"`+original+`"}}]}`, items)
	wire, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), s, []byte(text))
	noError(t, err)
	return wire
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
