package obsreport

// Reason says why a request got no success. Its text is the value of the
// attribute "reason" in metrics and logs.
type Reason uint8

// The reasons, roughly in the order in which a request meets them.
const (
	// ReasonNone: the request was served, perhaps with a partial success.
	ReasonNone Reason = iota
	// ReasonNotFound: no signal is received on that path or by that method's name.
	ReasonNotFound
	// ReasonMethod: an HTTP method other than POST.
	ReasonMethod
	// ReasonMediaType: a Content-Type that is neither protobuf nor JSON.
	ReasonMediaType
	// ReasonEncoding: a compression that is unknown or not allowed.
	ReasonEncoding
	// ReasonAuth: no credentials, or wrong ones.
	ReasonAuth
	// ReasonAdmission: no room in the budget of bytes. A retry may succeed.
	ReasonAdmission
	// ReasonTooLarge: more bytes than one request may have, packed or unpacked.
	ReasonTooLarge
	// ReasonBrokenOff: the client left or was too slow; nobody got an answer.
	ReasonBrokenOff
	// ReasonDecompress: a body that does not unpack.
	ReasonDecompress
	// ReasonDecode: a body that is no request of its signal.
	ReasonDecode
	// ReasonShutdown: the receiver is stopping.
	ReasonShutdown
	// ReasonPipeline: the consumer did not take the data.
	ReasonPipeline
	// ReasonInternal: a fault of penstock itself.
	ReasonInternal

	reasonCount
)

var reasonNames = [reasonCount]string{
	"none", "not_found", "method", "media_type", "encoding", "auth", "admission", "too_large",
	"broken_off", "decompress", "decode", "shutdown", "pipeline", "internal",
}

// String returns the reason as metrics and logs have it: "too_large".
func (r Reason) String() string { return reasonNames[r.known()] }

// known maps what is none of the constants to ReasonInternal.
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

// outcome: a failure is what the client did not get told a good reason for.
func (r Reason) outcome() int {
	switch r {
	case ReasonNone:
		return outcomeSuccess
	case ReasonInternal, ReasonBrokenOff:
		return outcomeFailure
	}
	return outcomeRefused
}

// ConnReason says why a connection was turned away or cut off by the receiver.
type ConnReason uint8

// The reasons.
const (
	// ConnLimit: the receiver has as many connections as it may.
	ConnLimit ConnReason = iota
	// ConnHandshake: TLS was not agreed on.
	ConnHandshake
	// ConnProtocol: the first bytes are of another protocol, such as HTTP/1 on
	// the port for gRPC.
	ConnProtocol
	// ConnTimeout: nothing useful came in time.
	ConnTimeout
	// ConnAbuse: the protocol was used as a weapon, such as by rapid resets.
	ConnAbuse

	connReasonCount
)

var connReasonNames = [connReasonCount]string{"limit", "handshake", "protocol", "timeout", "abuse"}

// String returns the reason as metrics and logs have it: "handshake".
func (r ConnReason) String() string { return connReasonNames[r.known()] }

// known maps what is none of the constants to ConnProtocol.
func (r ConnReason) known() ConnReason {
	if r >= connReasonCount {
		return ConnProtocol
	}
	return r
}

// format is the encoding of a request's body, as an index.
type format uint8

const (
	formatUnknown format = iota // also: not known yet when the request was refused
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
