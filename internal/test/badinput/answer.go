package badinput

import (
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // protojson decodes details of types that it knows
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// answer is what came back, of either transport.
type answer struct {
	// outcome is the HTTP status ("400"), the name of the gRPC code
	// ("InvalidArgument"), or how the exchange ended without one: "closed", "goaway",
	// "rst", "h2" (the server switched to HTTP/2), "ignored" (it answered the PING
	// that followed), "timeout".
	outcome string
	detail  string // more about an outcome without a status
	http    int    // 0: none arrived
	header  http.Header
	body    []byte
	status  *spb.Status
	noBody  error // why status is nil, of an HTTP error
	closed  bool  // the connection cannot be reused
}

// String is one line for reports.
func (a *answer) String() string {
	var b strings.Builder
	b.WriteString(a.outcome)
	if a.http != 0 && a.outcome != fmt.Sprint(a.http) {
		fmt.Fprintf(&b, " (HTTP %d)", a.http)
	}
	if a.status != nil {
		fmt.Fprintf(&b, " code=%d %q", a.status.Code, shorten(a.status.Message))
		for _, d := range a.status.Details {
			b.WriteString(" +" + detailName(d.TypeUrl))
		}
	} else if len(a.body) > 0 {
		fmt.Fprintf(&b, " body %q", shorten(string(a.body)))
	}
	if a.detail != "" {
		b.WriteString(" " + shorten(a.detail))
	}
	return b.String()
}

func shorten(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

func detailName(typeURL string) string { return typeURL[strings.LastIndexByte(typeURL, '.')+1:] }

// maxAnswerBytes bounds what is read of an answer (OTLP specification: 4 MiB).
const maxAnswerBytes = 4 << 20

// httpAnswer reads a response. noBody is nil if an error's body is a
// google.rpc.Status.
func httpAnswer(resp *http.Response) *answer {
	a := &answer{http: resp.StatusCode, outcome: fmt.Sprint(resp.StatusCode), header: resp.Header, closed: resp.Close}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	_ = resp.Body.Close()
	a.body = body
	if err != nil {
		a.noBody, a.closed = fmt.Errorf("read the body: %w", err), true
		return a
	}
	a.readStatus()
	return a
}

// readStatus decodes an HTTP error's body.
func (a *answer) readStatus() {
	if a.http < 400 {
		return
	}
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	s := &spb.Status{}
	switch {
	case err != nil:
		a.noBody = fmt.Errorf("Content-Type %q", a.header.Get("Content-Type"))
		return
	case media == protobufType:
		err = proto.Unmarshal(a.body, s)
	case media == jsonType:
		err = protojson.Unmarshal(a.body, s)
	default:
		a.noBody = fmt.Errorf("Content-Type %q", media)
		return
	}
	if err != nil {
		a.noBody = fmt.Errorf("not a google.rpc.Status: %w", err)
		return
	}
	a.status = s
}

const (
	protobufType = "application/x-protobuf"
	jsonType     = "application/json"
)

// grpcAnswer interprets a gRPC response's header and trailer.
func grpcAnswer(status int, header, trailer http.Header) *answer {
	a := &answer{http: status, header: header}
	get := func(name string) string {
		if v := trailer.Get(name); v != "" {
			return v
		}
		return header.Get(name)
	}
	var code int
	if _, err := fmt.Sscanf(get("grpc-status"), "%d", &code); err != nil {
		a.outcome, a.detail = fmt.Sprint(status), "no grpc-status"
		return a
	}
	a.outcome = codes.Code(code).String()
	if code == 0 {
		return a
	}
	a.status = &spb.Status{Code: int32(code), Message: get("grpc-message")}
	if details := get("grpc-status-details-bin"); details != "" {
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(details, "="))
		full := &spb.Status{}
		if err == nil {
			err = proto.Unmarshal(raw, full)
		}
		if err != nil {
			a.noBody = fmt.Errorf("grpc-status-details-bin: %w", err)
		} else {
			a.status.Details = full.Details
		}
	}
	return a
}

// hasDetail reports whether the status carries a detail of that type.
func (a *answer) hasDetail(name string) bool {
	for _, d := range a.status.GetDetails() {
		if detailName(d.TypeUrl) == name {
			return true
		}
	}
	return false
}
