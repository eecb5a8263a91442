package otlpreceiver

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
)

// grpcOverHTTP serves gRPC's unary calls on net/http's HTTP/2, for a port that
// is shared with OTLP/HTTP (gRPC over HTTP/2, "PROTOCOL-HTTP2"). It costs about
// twice the CPU of gRPC's own server.
type grpcOverHTTP struct {
	*door
	maxRequestBytes int
}

func (h *grpcOverHTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, refused := h.enter(connOfHTTP(r.Context()), "protobuf")
	entered := refused == nil
	var response []byte
	if entered {
		response, refused = h.take(w, r, &v)
	}
	answerGRPC(w, response, refused)
	if r.Context().Err() != nil {
		v.conn.aborted()
	}
	code := codes.OK
	if refused != nil {
		code = refused.code
	}
	v.leave(r.Context(), refused, int(code), "", r.URL.Path, entered)
}

// answerGRPC writes a response or a refusal as gRPC has them.
func answerGRPC(w http.ResponseWriter, response []byte, refused *refusal) {
	header := w.Header()
	header.Set("Content-Type", "application/grpc")
	if refused != nil { // "Trailers-Only"
		writeGRPCStatus(header, refused)
		w.WriteHeader(http.StatusOK)
		return
	}
	header.Set("Trailer", "Grpc-Status")
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(response)))
	_, _ = w.Write(append(frame, response...)) // a client that has gone cannot be told
	header.Set("Grpc-Status", "0")
}

func writeGRPCStatus(header http.Header, r *refusal) {
	s := r.status()
	header.Set("Grpc-Status", strconv.Itoa(int(s.Code)))
	header.Set("Grpc-Message", percentEncode(s.Message))
	if len(s.Details) == 0 {
		return
	}
	b, err := proto.Marshal(s)
	if err != nil { // status holds valid UTF-8 and known details only
		panic("otlpreceiver: write a status: " + err.Error())
	}
	header.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(b))
}

// percentEncode is how grpc-message is written: all but printable ASCII, and the
// percent sign, as %XX.
func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func (h *grpcOverHTTP) take(w http.ResponseWriter, r *http.Request, v *visit) (response []byte, refused *refusal) {
	ctx, get := r.Context(), headerOf(r)
	defer v.rescue(ctx, &refused)
	if refused := v.authenticate(ctx, get); refused != nil {
		return nil, refused
	}
	s, ok := otlp.SignalByMethod(r.URL.Path)
	if !ok {
		return nil, unknownTarget("method", r.URL.Path)
	}
	if v.in = h.intakes[s]; v.in.next == nil {
		return nil, noPipeline(s)
	}
	if t := r.Header.Get("Content-Type"); t != "application/grpc" && t != "application/grpc+proto" {
		return nil, &refusal{code: codes.InvalidArgument, reason: obsreport.ReasonMediaType,
			message: "unsupported Content-Type " + quote(t) + ": expected application/grpc"}
	}
	if refused := v.version(get); refused != nil {
		return nil, refused
	}
	if refused := v.admit(ctx, 0); refused != nil {
		return nil, refused
	}
	lent, refused := h.message(w, r, v)
	if refused != nil {
		return nil, refused
	}
	if h.metadata.wanted() {
		v.client.Metadata = h.metadata.pick(get, func() map[string][]string { return httpMetadata(r) })
	}
	ctx, cancel := withTimeout(h.remoteParent(ctx, propagation.HeaderCarrier(r.Header)), r)
	defer cancel()
	return v.export(ctx, lent)
}

// message reads the one message of the request.
func (h *grpcOverHTTP) message(w http.ResponseWriter, r *http.Request, v *visit) (*[]byte, *refusal) {
	encoding := r.Header.Get("Grpc-Encoding")
	if known := config.GRPCEncodings(); encoding != "" && encoding != "identity" && !slices.Contains(known, encoding) {
		return nil, &refusal{code: codes.Unimplemented, reason: obsreport.ReasonEncoding, message: "unsupported grpc-encoding " +
			quote(encoding) + ": expected " + strings.Join(known, ", ")}
	}
	const prefixBytes = 5 // of this message, and of one too many
	src := &paced{r: r.Body, w: http.NewResponseController(w), visit: v, most: int64(h.maxRequestBytes) + 2*prefixBytes}
	m := grpcMessage{visit: v, most: h.maxRequestBytes, encoding: encoding, fill: func(p []byte) error {
		_, err := io.ReadFull(src, p)
		return err
	}}
	lent, refused := m.compressed()
	src.done()
	if refused != nil {
		return nil, refused
	}
	return m.decompress(lent)
}

// withTimeout gives ctx the deadline that the client has set ("Timeout").
func withTimeout(ctx context.Context, r *http.Request) (context.Context, context.CancelFunc) {
	text := r.Header.Get("Grpc-Timeout")
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': 1}
	const mostDigits = 8
	if len(text) < 2 || len(text) > mostDigits+1 {
		return ctx, func() {}
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	unit := units[text[len(text)-1]]
	if err != nil || unit == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, min(time.Duration(n), maxTimeout/unit)*unit)
}

// maxTimeout is as good as none.
const maxTimeout = 24 * time.Hour
