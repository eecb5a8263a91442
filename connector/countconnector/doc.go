// Package countconnector is the Collector's `count` connector: it counts spans, span
// events, metrics, data points, log records and profiles, and passes the counts on as
// metrics.
//
//	connectors:
//	  count:
//	    logs:
//	      app.errors:
//	        description: Errors by service version.
//	        conditions:
//	        - severity_number >= SEVERITY_NUMBER_ERROR
//	        attributes:
//	        - key: service.version
//	          default_value: unknown
//
// Each request becomes one of metrics: for each resource of which something was counted, a
// resource with the same attributes and a sum (delta, monotonic) for each metric, with a
// data point for each combination of attributes. A metric with several conditions counts
// what one of them holds for. What has none of an attribute that has no default is not
// counted. Attributes are looked for in the item, its scope, and its resource.
package countconnector
