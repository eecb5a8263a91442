// Package redactionprocessor is the Collector's `redaction` processor: it removes
// attributes that are not allowed, and masks or hashes values that are blocked, in
// resources, scopes, spans and their events, data points, log records and their bodies.
//
//	processors:
//	  redaction:
//	    allowed_keys: [http.request.method, http.route, notes]
//	    blocked_values: ['4[0-9]{12}(?:[0-9]{3})?'] # credit card numbers
//	    summary: info
//
// Of an attribute, the first of these that applies decides:
//
//	ignored_keys, ignored_key_patterns   it stays as it is
//	allowed_keys, allow_all_keys         if its key is not allowed, it is removed
//	allowed_values                       if its value matches, it stays as it is
//	blocked_key_patterns                 if its key matches, its value is masked
//	blocked_values                       what matches in its value is masked
//
// Entries of maps in bodies of log records are treated in the same way, except that
// blocked_key_patterns come before allowed_values. It works from wire to wire. Nothing is
// allocated for items in which nothing is masked.
package redactionprocessor
