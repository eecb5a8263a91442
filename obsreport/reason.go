package obsreport

// Reason is the reason why a request did not succeed. Its text is the value of
// the attribute "reason" in metrics and logs.
type Reason uint8

// The reasons, roughly in the order in which a request is checked.
const (
	// ReasonNone: the request succeeded, at least partially.
	ReasonNone Reason = iota
	// ReasonNotFound: no signal is received at this path or with this gRPC
	// method.
	ReasonNotFound
	// ReasonMethod: an HTTP method other than POST.
	ReasonMethod
	// ReasonCORS: a page in a browser that is not allowed to send.
	ReasonCORS
	// ReasonMediaType: a Content-Type that is neither protobuf nor JSON.
	ReasonMediaType
	// ReasonEncoding: an unknown compression, or one that is not allowed.
	ReasonEncoding
	// ReasonAuth: credentials are missing or wrong.
	ReasonAuth
	// ReasonAdmission: the memory budget is exhausted. A retry may succeed.
	ReasonAdmission
	// ReasonTooLarge: more bytes than one request may have, compressed or
	// decompressed.
	ReasonTooLarge
	// ReasonBrokenOff: the client disconnected or was too slow; it got no
	// response.
	ReasonBrokenOff
	// ReasonDecompress: the body cannot be decompressed.
	ReasonDecompress
	// ReasonDecode: the body is not a valid request of its signal.
	ReasonDecode
	// ReasonShutdown: the receiver is stopping.
	ReasonShutdown
	// ReasonPipeline: the consumer returned an error.
	ReasonPipeline
	// ReasonInternal: an error in penstock itself.
	ReasonInternal

	reasonCount
)

var reasonNames = [reasonCount]string{
	"none", "not_found", "method", "cors", "media_type", "encoding", "auth", "admission", "too_large",
	"broken_off", "decompress", "decode", "shutdown", "pipeline", "internal",
}

// String returns the reason as used in metrics and logs: "too_large".
func (r Reason) String() string { return reasonNames[r.known()] }

// known maps values other than the constants to ReasonInternal.
func (r Reason) known() Reason {
	if r >= reasonCount {
		return ReasonInternal
	}
	return r
}

// The Collector's three outcomes of a request.
const (
	outcomeSuccess = iota
	outcomeRefused
	outcomeFailure

	outcomeCount
)

var outcomeNames = [outcomeCount]string{"success", "refused", "failure"}

// outcome returns the outcome: an internal error and a request without a
// response are failures, other reasons are refusals.
func (r Reason) outcome() int {
	switch r {
	case ReasonNone:
		return outcomeSuccess
	case ReasonInternal, ReasonBrokenOff:
		return outcomeFailure
	}
	return outcomeRefused
}

// ConnReason is the reason why a receiver refused or closed a connection.
type ConnReason uint8

// The reasons.
const (
	// ConnLimit: the receiver has the maximum number of connections.
	ConnLimit ConnReason = iota
	// ConnHandshake: the TLS handshake failed.
	ConnHandshake
	// ConnProtocol: the client uses another protocol, such as HTTP/1 on the
	// port for gRPC.
	ConnProtocol
	// ConnTimeout: no valid data arrived in time.
	ConnTimeout
	// ConnAbuse: an attack within the protocol, such as rapid resets.
	ConnAbuse

	connReasonCount
)

var connReasonNames = [connReasonCount]string{"limit", "handshake", "protocol", "timeout", "abuse"}

// String returns the reason as used in metrics and logs: "handshake".
func (r ConnReason) String() string { return connReasonNames[r.known()] }

// known maps values other than the constants to ConnProtocol.
func (r ConnReason) known() ConnReason {
	if r >= connReasonCount {
		return ConnProtocol
	}
	return r
}

// format is the encoding of a request's body, as an index.
type format uint8

const (
	formatUnknown format = iota // also if it was not yet known when the request was refused
	formatProtobuf
	formatJSON

	formatCount
)

var formatNames = [formatCount]string{"unknown", "protobuf", "json"}

func formatOf(name string) format {
	switch name {
	case "protobuf":
		return formatProtobuf
	case "json":
		return formatJSON
	}
	return formatUnknown
}
