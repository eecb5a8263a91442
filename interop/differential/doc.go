// Package differential gives the same requests to penstock, to the Collector's
// pdata and to the official protobuf module, and compares what they say: whether
// it is a request, and how many items are in it.
//
//	go test ./differential                                20,000 requests
//	go test ./differential -args -requests 1000000 -seed 7
//
// Half of the requests are valid and odd (internal/test/testkit makes them), the rest
// are such with a few bytes, tags or lengths changed. Where two verdicts differ,
// a reason from the list in reasons_test.go must apply, as found in the bytes by
// a walk of this package's own; any other difference fails the test.
package differential
