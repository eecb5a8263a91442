// Package resourcedetectionprocessor is the Collector's `resource_detection` processor: it sets
// attributes of the machine, container or cloud that it runs on on the resources of all
// four signals.
//
//	processors:
//	  resource_detection:
//	    detectors: [env, system, ec2]
//	    timeout: 2s
//	    override: false
//	    system:
//	      resource_attributes:
//	        host.id: {enabled: true}
//
// Detectors run once, when the service starts, at the same time, and once for all pipelines:
//
//	detector 1 ──┐  the first that has an attribute counts
//	detector 2 ──┼──► result ──► every resource of every request, wire to wire
//	…          ──┘  again after each refresh_interval
//
// The start waits for them no longer than `timeout`. A platform that is not there costs one
// line in the log, unless `fail_on_missing_metadata` makes it an error.
package resourcedetectionprocessor
