package oracle

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

// operands are values of every type that a statement about a log can have.
var operands = []string{
	`attributes["s"]`, `attributes["i"]`, `attributes["d"]`, `attributes["b"]`, `attributes["by"]`, `attributes["e"]`,
	`attributes["m"]`, `attributes["l"]`, `attributes["ls"]`, `attributes["never"]`, `body`, `attributes`, `resource.attributes`,
	`"abc"`, `""`, `7`, `-1`, `2.5`, `7.0`, `true`, `false`, `nil`, `0x0102ff`, `[]`, `["b", "a", "c"]`, `[1, 2.5]`, `{}`, `{"k": "abc"}`,
	`time`, `observed_time`, `Duration("1s")`, `trace_id`, `span_id`, `SEVERITY_NUMBER_INFO`, `severity_number`, `severity_text`,
	`Split("b,a,c", ",")`, `ParseJSON("{\"k\":\"abc\"}")`, `Double(attributes["num"])`,
}

// uncomparable are operands that contrib panics on when both are such.
func uncomparable(s string) bool { return strings.HasPrefix(s, "Split(") }

// Every operator gives the same for every pair of types.
func TestComparisons(t *testing.T) {
	for i, a := range operands {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for _, b := range operands {
				if uncomparable(a) && uncomparable(b) {
					continue
				}
				var statements []string
				for n, op := range []string{"==", "!=", "<", "<=", ">", ">="} {
					statements = append(statements, fmt.Sprintf(`set(attributes["r%d"], true) where %s %s %s`, n, a, op, b))
				}
				runGroup(t, "log", "", a+" ? "+b, statements)
			}
		})
	}
}

// numbers are operands that the grammar allows in arithmetic.
var numbers = []string{
	`attributes["s"]`, `attributes["i"]`, `attributes["d"]`, `attributes["b"]`, `attributes["m"]`, `attributes["never"]`,
	`7`, `0`, `2.5`, `0.0`, `9223372036854775807`, `time`, `observed_time`, `Duration("1s")`, `severity_number`, `Len(attributes["s"])`,
}

// Arithmetic gives the same for every pair of types. A result that cannot be
// stored is compared as text.
func TestArithmetic(t *testing.T) {
	for i, a := range numbers {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for _, b := range numbers {
				var statements []string
				for n, op := range []string{"+", "-", "*", "/"} {
					statements = append(statements,
						fmt.Sprintf(`set(attributes["r%d"], %s %s %s)`, n, a, op, b),
						fmt.Sprintf(`set(attributes["t%d"], String(%s %s %s))`, n, a, op, b))
				}
				statements = append(statements,
					fmt.Sprintf(`set(attributes["r4"], -%s)`, a),
					fmt.Sprintf(`set(attributes["r5"], +%s)`, a),
					fmt.Sprintf(`set(attributes["r6"], %s - %s * 2 + %[1]s)`, a, b),
					fmt.Sprintf(`set(attributes["r7"], (%s - %s) / 2)`, a, b),
					fmt.Sprintf(`set(attributes["r8"], 100 - %s - %s)`, a, b))
				runGroup(t, "log", "", a+" ? "+b, statements)
			}
		})
	}
}

// contextPaths are all paths of each context, without prefix.
var contextPaths = map[string][]string{
	"resource": {`attributes`, `attributes["s"]`, `dropped_attributes_count`, `schema_url`, `cache`, `cache["k"]`},
	"scope": {`name`, `version`, `attributes`, `attributes["s"]`, `dropped_attributes_count`, `schema_url`, `cache`, `cache["k"]`,
		`resource.attributes["s"]`, `resource.schema_url`},
	"log": {`time_unix_nano`, `observed_time_unix_nano`, `time`, `observed_time`, `severity_number`, `severity_text`, `body`, `body["k"]`, `body[0]`,
		`body.string`, `attributes`, `attributes["s"]`, `attributes["m"]["k"]`, `attributes["l"][0]`, `dropped_attributes_count`, `flags`,
		`trace_id`, `trace_id.string`, `span_id`, `span_id.string`, `event_name`, `cache`, `cache["k"]`, `resource.attributes["s"]`,
		`resource.dropped_attributes_count`, `resource.schema_url`, `scope.name`, `scope.version`, `scope.attributes["s"]`, `scope.schema_url`,
		`scope.dropped_attributes_count`, `instrumentation_scope.name`, `instrumentation_scope.attributes`},
	"span": {`trace_id`, `trace_id.string`, `span_id`, `span_id.string`, `parent_span_id`, `parent_span_id.string`, `trace_state`, `trace_state["a"]`,
		`name`, `kind`, `kind.string`, `kind.deprecated_string`, `start_time_unix_nano`, `end_time_unix_nano`, `start_time`, `end_time`, `attributes`,
		`attributes["s"]`, `dropped_attributes_count`, `events`, `dropped_events_count`, `links`, `dropped_links_count`, `status`, `status.code`,
		`status.message`, `flags`, `cache["k"]`, `resource.attributes["s"]`, `scope.name`},
	"spanevent": {`time_unix_nano`, `time`, `name`, `attributes`, `attributes["s"]`, `dropped_attributes_count`, `event_index`, `cache["k"]`,
		`span.name`, `span.attributes["s"]`, `span.kind`, `resource.attributes["s"]`, `scope.name`},
	"metric": {`name`, `description`, `unit`, `type`, `aggregation_temporality`, `is_monotonic`, `data_points`, `metadata`, `metadata["s"]`, `cache["k"]`,
		`resource.attributes["s"]`, `scope.name`},
	"datapoint": {`attributes`, `attributes["s"]`, `start_time_unix_nano`, `time_unix_nano`, `start_time`, `time`, `value_double`, `value_int`, `exemplars`,
		`flags`, `count`, `sum`, `bucket_counts`, `explicit_bounds`, `scale`, `zero_count`, `positive`, `positive.offset`, `positive.bucket_counts`,
		`negative`, `negative.offset`, `negative.bucket_counts`, `quantile_values`, `cache["k"]`, `metric.name`, `metric.is_monotonic`,
		`metric.metadata["s"]`, `resource.attributes["s"]`, `scope.name`},
	"exemplar": {`time_unix_nano`, `time`, `double_value`, `int_value`, `trace_id`, `trace_id.string`, `span_id`, `span_id.string`, `filtered_attributes`,
		`filtered_attributes["s"]`, `cache["k"]`, `datapoint.attributes["s"]`, `datapoint.value_int`, `metric.name`, `resource.attributes["s"]`},
	"profile": {`sample_type`, `sample_type.type`, `sample_type.unit`, `period_type`, `period_type.type`, `period_type.unit`, `sample`, `time_unix_nano`,
		`time`, `duration_unix_nano`, `duration`, `period`, `profile_id`, `profile_id.string`, `attribute_indices`, `dropped_attributes_count`,
		`original_payload_format`, `original_payload`, `attributes`, `attributes["s"]`, `attributes["m"]["k"]`, `cache["k"]`,
		`resource.attributes["s"]`, `scope.name`},
}

// resultKeys are where a context keeps what a test reads.
var resultKeys = map[string]string{
	"metric": "metadata", "exemplar": "filtered_attributes",
}

func resultKey(context string) string {
	if k, ok := resultKeys[context]; ok {
		return k
	}
	return "attributes"
}

// Every path gives the same value.
func TestPathsGet(t *testing.T) {
	for context, paths := range contextPaths {
		t.Run(context, func(t *testing.T) {
			t.Parallel()
			r := resultKey(context)
			for _, p := range paths {
				runGroup(t, context, p, p, []string{
					fmt.Sprintf(`set(%s["r1"], %s)`, r, p),
					fmt.Sprintf(`set(%s["r2"], "nil") where %s == nil`, r, p),
					fmt.Sprintf(`set(%s["r3"], IsEmpty(%s))`, r, p),
					fmt.Sprintf(`set(%s["r4"], Len(%s))`, r, p),
					fmt.Sprintf(`set(%s["r5"], IsString(%s))`, r, p),
					fmt.Sprintf(`set(%s["r6"], IsInt(%s))`, r, p),
					fmt.Sprintf(`set(%s["r7"], IsList(%s))`, r, p),
					fmt.Sprintf(`set(%s["r8"], IsMatch(%s, "a|1"))`, r, p),
				})
			}
		})
	}
}

// setValues are what every path is set to.
var setValues = []string{`"text"`, `7`, `-7`, `2.5`, `true`, `nil`, `0x0102`, `[1, 2]`, `["a"]`, `[1.5]`, `{"k": 1}`, `Unix(5)`, `Duration("1s")`,
	`TraceID(0x00112233445566778899aabbccddeeff)`, `SpanID(0x0011223344556677)`, `"00112233445566778899aabbccddeeff"`}

// Every path takes the same values, and stores the same.
func TestPathsSet(t *testing.T) {
	for context, paths := range contextPaths {
		t.Run(context, func(t *testing.T) {
			t.Parallel()
			for _, p := range paths {
				for _, v := range append(setValues, p) {
					statements := []string{fmt.Sprintf(`set(%s, %s)`, p, v)}
					if p != resultKey(context) { // a copy of a map in itself is a case of its own
						statements = append(statements, fmt.Sprintf(`set(%s["r"], %s)`, resultKey(context), p))
					}
					runGroup(t, context, p, p+" = "+v, statements)
				}
				runGroup(t, context, p, "clear "+p, []string{fmt.Sprintf(`clear(%s)`, p)})
			}
		})
	}
}

// enums are those of each context.
var enums = map[string]string{
	"span": "SPAN_KIND_UNSPECIFIED SPAN_KIND_INTERNAL SPAN_KIND_SERVER SPAN_KIND_CLIENT SPAN_KIND_PRODUCER SPAN_KIND_CONSUMER " +
		"STATUS_CODE_UNSET STATUS_CODE_OK STATUS_CODE_ERROR",
	"log": "SEVERITY_NUMBER_UNSPECIFIED SEVERITY_NUMBER_TRACE SEVERITY_NUMBER_TRACE2 SEVERITY_NUMBER_TRACE3 SEVERITY_NUMBER_TRACE4 " +
		"SEVERITY_NUMBER_DEBUG SEVERITY_NUMBER_DEBUG2 SEVERITY_NUMBER_DEBUG3 SEVERITY_NUMBER_DEBUG4 SEVERITY_NUMBER_INFO SEVERITY_NUMBER_INFO2 " +
		"SEVERITY_NUMBER_INFO3 SEVERITY_NUMBER_INFO4 SEVERITY_NUMBER_WARN SEVERITY_NUMBER_WARN2 SEVERITY_NUMBER_WARN3 SEVERITY_NUMBER_WARN4 " +
		"SEVERITY_NUMBER_ERROR SEVERITY_NUMBER_ERROR2 SEVERITY_NUMBER_ERROR3 SEVERITY_NUMBER_ERROR4 SEVERITY_NUMBER_FATAL " +
		"SEVERITY_NUMBER_FATAL2 SEVERITY_NUMBER_FATAL3 SEVERITY_NUMBER_FATAL4",
	"metric": "AGGREGATION_TEMPORALITY_UNSPECIFIED AGGREGATION_TEMPORALITY_DELTA AGGREGATION_TEMPORALITY_CUMULATIVE METRIC_DATA_TYPE_NONE " +
		"METRIC_DATA_TYPE_GAUGE METRIC_DATA_TYPE_SUM METRIC_DATA_TYPE_HISTOGRAM METRIC_DATA_TYPE_EXPONENTIAL_HISTOGRAM METRIC_DATA_TYPE_SUMMARY",
	"datapoint": "FLAG_NONE FLAG_NO_RECORDED_VALUE METRIC_DATA_TYPE_SUM AGGREGATION_TEMPORALITY_DELTA",
	"spanevent": "SPAN_KIND_SERVER STATUS_CODE_ERROR",
}

func TestEnums(t *testing.T) {
	for context, names := range enums {
		for _, name := range strings.Fields(names) {
			runGroup(t, context, "", name, []string{fmt.Sprintf(`set(%s["r"], %s)`, resultKey(context), name)})
		}
	}
}

// runGroup runs statements of one context as one group that ignores errors. A
// difference is listed for what, or for the path.
func runGroup(t *testing.T, context, path, what string, statements []string) {
	t.Helper()
	t.Run(what, func(t *testing.T) {
		k := statementKinds[context]
		d, ok := listedDifferences(t)[context+" "+what]
		if !ok {
			d = listedDifferences(t)[context+" path "+path]
		}
		p := pair{
			Component: Component{
				Kind: Processor, Type: "transform", Signal: k.signal, Settings: transformSettings(k, context, "ignore", statements...),
			},
			differs: d.Differs, pending: d.Pending, refusedByOne: d.Refused,
		}
		if p.create(t, false) {
			d.check(t, p.compare(t, few(k.signal)), p.native != nil)
		}
		if t.Failed() {
			t.Logf("the entry in differences.yaml would be: %s", d.entry(context, what))
		}
	})
}

func few(s otlp.Signal) [][]byte { return manyItems(s)[:5] }
