package otlpclient

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"google.golang.org/grpc/codes"
)

// TooLargeError is the cause of an Error of a request that is larger than the
// destination accepts. The same request will be refused again.
type TooLargeError struct {
	// Sent is the size of the request in bytes as it was sent, perhaps compressed;
	// Uncompressed is its size in protobuf or JSON.
	Sent, Uncompressed int
	// Limit is the largest size in bytes that the destination accepts; 0 if it has not
	// said so.
	Limit int64
	// Err is the answer of the destination.
	Err error

	http bool
}

func (e *TooLargeError) Error() string {
	size, limit, key := fmt.Sprintf("%d bytes", e.Uncompressed), "it accepts less", "max_recv_msg_size_mib of protocols.grpc"
	if e.Sent != e.Uncompressed {
		size += fmt.Sprintf(" (%d compressed)", e.Sent)
	}
	if e.Limit > 0 {
		limit = fmt.Sprintf("it accepts at most %d", e.Limit)
	}
	if e.http {
		key = "max_request_body_size of protocols.http"
	}
	return fmt.Sprintf("%v; the request has %s, %s, so the request is not sent again: raise the limit of the destination "+
		"(in penstock and the Collector %s of the receiver otlp), or have the senders send smaller requests", e.Err, size, limit, key)
}

// Unwrap returns the answer of the destination.
func (e *TooLargeError) Unwrap() error { return e.Err }

// sizeTexts are what servers say about a request that is too large. Named groups are
// its size and the limit.
var sizeTexts = []*regexp.Regexp{
	regexp.MustCompile(`larger than max(?: length allowed on current machine)? \((?P<size>\d+) vs\. (?P<limit>\d+)\)`), // gRPC in Go, C++, Python
	regexp.MustCompile(`larger than max (?P<limit>\d+)`),                                                               // gRPC in Go
	regexp.MustCompile(`exceeds maximum size (?P<limit>\d+)(?:: (?P<size>\d+))?`),                                      // gRPC in Java
	regexp.MustCompile(`message length too large: found (?P<size>\d+) bytes, the limit is: (?P<limit>\d+)`),            // tonic
	regexp.MustCompile(`exceeds the maximum configured message size`),                                                  // gRPC in .NET
	regexp.MustCompile(`request is larger than the limit of (?P<limit>\d+) bytes`),                                     // penstock
	regexp.MustCompile(`http: request body too large`),                                                                 // net/http, as the Collector
	regexp.MustCompile(`unexpected HTTP status code received from server: 413`),                                        // a proxy in front of gRPC
}

// sizes is what an answer says about the size of a request; 0 is nothing.
type sizes struct{ size, limit int64 }

// sizesIn returns what the text of an answer says, and whether it is about a request
// that is too large.
func sizesIn(text string) (s sizes, found bool) {
	for _, re := range sizeTexts {
		m := re.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		number := func(name string) int64 {
			i := re.SubexpIndex(name)
			if i < 0 {
				return 0
			}
			n, _ := strconv.ParseInt(m[i], 10, 64) // the largest int64 for what is larger
			return n
		}
		return sizes{number("size"), number("limit")}, true
	}
	return sizes{}, false
}

// sizeCodes are the codes of servers that find a request too large: Unknown is that of
// an HTTP status which has none, OutOfRange that of tonic.
var sizeCodes = map[codes.Code]bool{codes.ResourceExhausted: true, codes.OutOfRange: true, codes.Unknown: true, codes.InvalidArgument: true}

// tooLarge replaces e, an answer of a gRPC server to a request of these sizes, if it
// means that the request is too large. An answer that is too large for this client has
// the same text: then the sizes differ, or the request is within the limit.
func (e *Error) tooLarge(sent, uncompressed int) {
	s, found := sizesIn(e.Err.Error())
	if !found || !sizeCodes[e.Code] {
		return
	}
	if s.size > 0 && s.size != int64(sent) && s.size != int64(uncompressed) || s.limit > 0 && s.limit >= int64(max(sent, uncompressed)) {
		return
	}
	*e = Error{Code: e.Code, Err: &TooLargeError{Sent: sent, Uncompressed: uncompressed, Limit: s.limit, Err: e.Err}}
}

// tooLargeHTTP is tooLarge for the answer of an HTTP server.
func (e *Error) tooLargeHTTP(sent, uncompressed int) {
	s, found := sizesIn(e.Err.Error())
	if e.HTTPStatus != http.StatusRequestEntityTooLarge && (!found || e.HTTPStatus != http.StatusBadRequest) {
		return
	}
	*e = Error{Code: e.Code, HTTPStatus: e.HTTPStatus,
		Err: &TooLargeError{Sent: sent, Uncompressed: uncompressed, Limit: s.limit, Err: e.Err, http: true}}
}
