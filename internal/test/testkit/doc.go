// Package testkit is what tests of several packages share. Only tests import it.
//
//	Request        random valid requests with odd shapes      ─┐
//	Backend        an OTLP server that does as it is told      ├─ around the code
//	Sink           a consumer that does as it is told          │  under test
//	CheckProfiles  the rules for profiles, each one looked at  │
//	Main           the end of a test run: nothing is leaked   ─┘
//
// The one trap: Request is as odd as Check allows, so that what it makes need
// not obey the protocol's SHOULDs; what must is made by internal/loadgen.
package testkit
