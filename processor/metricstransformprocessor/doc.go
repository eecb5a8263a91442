// Package metricstransformprocessor is the Collector's `metrics_transform` processor: it renames,
// copies, combines and groups metrics, and changes attributes ("labels") and values of their
// data points.
//
//	processors:
//	  metrics_transform:
//	    transforms:
//	    - include: system.cpu.usage
//	      action: update
//	      new_name: system.cpu.usage_time
//	      operations:
//	      - {action: add_label, new_label: version, new_value: opentelemetry collector v1}
//	    - include: ^k8s\.pod\.(?P<kind>.*)\.usage$
//	      match_type: regexp
//	      action: combine
//	      new_name: pod.usage
//	      aggregation_type: sum
//
// The transforms are applied one after the other to the metrics of each scope, each to what
// the one before left. Of a metric only its data points are taken apart, as bytes:
//
//	Metric                name replaced, other fields copied
//	└─ Gauge, Sum, …      copied
//	   └─ point*          kept, edited, dropped, or joined (package processor/internal/aggregate)
//
// Where no transform combines or groups, metrics do not depend on each other, and the
// processor is a plan of edits, which Chain fuses with its neighbours. Otherwise it writes
// each scope in which something changes again.
package metricstransformprocessor
