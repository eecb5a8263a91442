// Package transformprocessor is the Collector's `transform` processor: it changes
// telemetry with statements of OTTL (package ottl), for all four signals.
//
//	processors:
//	  transform:
//	    error_mode: ignore
//	    log_statements:
//	    - set(log.attributes["team"], "checkout") where resource.attributes["service.name"] == "cart"
//	    - context: log
//	      conditions:
//	      - IsMap(body)
//	      statements:
//	      - merge_maps(attributes, body, "upsert")
//	      - delete_key(attributes, "password")
//
// An element of a list is a statement, of which all together form one group whose context
// is found by their paths, or a group with a context of its own. Groups are done in the
// order written, each to the whole request. Where the result is the same, one pass does
// several of them.
//
// It works from wire to wire: an item is looked into only as far as its statements need,
// and one that no statement changes is copied with its neighbours in one piece.
package transformprocessor
