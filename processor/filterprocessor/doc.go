// Package filterprocessor is the Collector's `filter` processor: it drops what conditions
// of OTTL (package ottl) hold for, or, in the older style, what include and exclude do not
// select.
//
//	processors:
//	  filter:
//	    error_mode: ignore
//	    traces:
//	      span:
//	      - attributes["http.route"] == "/healthz"
//	    metric_conditions:
//	    - IsMatch(metric.name, "^go_")
//	    - context: datapoint
//	      conditions:
//	      - attributes["cpu"] == "idle"
//	    logs:
//	      include:
//	        match_type: regexp
//	        severity_texts: ["WARN.*", "ERROR.*"]
//
// An item is dropped if one condition of its level holds. A metric that loses all its data
// points is dropped; a span whose events are all dropped stays. Groups of what is left
// empty by a drop are dropped too.
package filterprocessor
