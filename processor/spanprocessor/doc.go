// Package spanprocessor is the Collector's `span` processor: it makes the names of spans
// of their attributes, extracts attributes from names, and sets the status.
//
//	processors:
//	  span:
//	    name:
//	      from_attributes: [http.request.method, http.route]
//	      separator: " "
//	      to_attributes: {rules: ['^/user/(?P<user_id>\d+)/']}
//	    status: {code: Error, description: no answer}
//
// First the name is made, then rules extract from it, then the status is set. It works
// from wire to wire, as the processor attributes does; attributes, name and status are
// replaced where they are, and all else of a span is copied.
package spanprocessor
