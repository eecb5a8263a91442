// Package testkit is what tests of several packages share. Only tests import it.
//
//	Request        random valid requests with odd shapes       ─┐
//	Decode         settings from YAML                           │
//	Backend        an OTLP server that answers as told          │
//	Sink           a consumer that answers as told              ├─ around the code
//	Log, Meter     logs and metrics that a test reads           │  under test
//	Eventually     waiting, within a bound                      │
//	CheckProfiles  the rules for profiles, each one checked     │
//	Main           the end of a test run: nothing is leaked    ─┘
//
// The one trap: Request is as odd as Check allows, so that its requests need not
// follow the protocol's SHOULDs; requests that do are made by internal/loadgen.
package testkit
