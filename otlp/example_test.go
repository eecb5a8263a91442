package otlp_test

import (
	"fmt"

	"github.com/penstock-telemetry/penstock/otlp"
)

// logsRequest builds a request with one log record.
func logsRequest() []byte {
	var e otlp.Encoder
	logs := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()

	resource := logs.SetResource()
	setString(resource.AddAttributes(), "service.name", "checkout")
	resource.Close()

	scope := logs.AddScopeLogs()
	record := scope.AddLogRecords()
	record.SetTimeUnixNano(1_800_000_000_000_000_000)
	record.SetSeverityNumber(otlp.SeverityNumberInfo)
	body := record.SetBody()
	body.SetStringValue("payment accepted")
	body.Close()
	setString(record.AddAttributes(), "currency", "EUR")

	record.Close()
	scope.Close()
	logs.Close()
	return e.Buf
}

func setString(kv otlp.KeyValueBuilder, key, value string) {
	kv.SetKey(key)
	v := kv.SetValue()
	v.SetStringValue(value)
	v.Close()
	kv.Close()
}

// Build a request with builders. Every nested message is closed before the message
// around it continues.
func Example_build() {
	request := logsRequest()
	items, err := otlp.Check(otlp.Logs, request)
	fmt.Println(items, "log record,", err)
	fmt.Println(string(otlp.AppendJSON(nil, otlp.Logs, request)))
	// Output:
	// 1 log record, <nil>
	// {"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"checkout"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1800000000000000000","severityNumber":9,"body":{"stringValue":"payment accepted"},"attributes":[{"key":"currency","value":{"stringValue":"EUR"}}]}]}]}]}
}

// Read the names of the spans of a request through views. They point into the bytes
// of the request.
func Example_views() {
	text := `{"resourceSpans":[{
		"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"checkout"}}]},
		"scopeSpans":[{"spans":[
			{"name":"GET /cart","kind":2,"startTimeUnixNano":"1000","endTimeUnixNano":"4000"},
			{"name":"SELECT","kind":3,"startTimeUnixNano":"2000","endTimeUnixNano":"3000"}]}]}]}`
	request, err := otlp.DecodeJSON(make([]byte, 0, otlp.MaxWireBytes(len(text))), otlp.Traces, []byte(text))
	if err != nil {
		fmt.Println(err)
		return
	}

	for group := range otlp.Groups(request) {
		service, _ := otlp.Attribute(group.Resource.Attributes(), nil, "service.name")
		for item := range group.Items.All() {
			span := otlp.Span(item).Decode() // all fields in one pass
			fmt.Printf("%s: %s, %s, %d ns\n", service.Text(), span.Name, span.Kind, span.EndTimeUnixNano-span.StartTimeUnixNano)
		}
	}
	// Output:
	// checkout: GET /cart, SPAN_KIND_SERVER, 3000 ns
	// checkout: SELECT, SPAN_KIND_CLIENT, 1000 ns
}

// Check rejects invalid requests with the position of the error.
func ExampleCheck() {
	_, err := otlp.Check(otlp.Logs, []byte{0x0a, 0x02, 0x10, 0x01})
	fmt.Println(err)
	// Output:
	// logs request, byte 2, ResourceLogs.scope_logs: unexpected wire type varint
}

// Kind says which type a value has.
func ExampleValue_Kind() {
	for group := range otlp.Groups(logsRequest()) {
		for item := range group.Items.All() {
			for key, value := range otlp.Attributes(otlp.LogRecord(item).Attributes(), nil) {
				switch value.Kind() {
				case otlp.KindString:
					fmt.Printf("%s is the string %s\n", key, value.Text())
				default:
					fmt.Printf("%s is of kind %s\n", key, value.Kind())
				}
			}
		}
	}
	// Output:
	// currency is the string EUR
}
