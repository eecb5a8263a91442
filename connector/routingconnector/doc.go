// Package routingconnector is the Collector's `routing` connector: it passes telemetry to
// pipelines by conditions of OTTL (package ottl), for all four signals.
//
//	connectors:
//	  routing:
//	    default_pipelines: [logs/other]
//	    error_mode: ignore
//	    table:
//	    - context: request
//	      condition: request["X-Tenant"] == "acme"
//	      pipelines: [logs/acme]
//	    - context: log
//	      condition: severity_number >= SEVERITY_NUMBER_ERROR
//	      pipelines: [logs/alerts]
//	      action: copy
//	    - statement: route() where attributes["service.name"] == "cart"
//	      pipelines: [logs/cart]
//
// The routes are tried in the order of the table. What a route matches goes to its
// pipelines, and with the action move, the default, is not tried further. What no route
// has moved goes to the default pipelines; it is dropped if there are none.
//
// It works from wire to wire. One pass over a request decides where its parts go, without
// a copy. If all goes one way, the request is passed on as it is; else a second pass cuts
// out what goes to each destination.
package routingconnector
