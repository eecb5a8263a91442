package otlpreceiver

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// format is one way to write requests and responses over HTTP.
type format struct {
	name      string // for Client.Format, metrics and spans
	mediaType string
	// toWire turns the body of a request into protobuf, in another buffer of
	// bufpool; the one that it was given is no longer the caller's. nil: it is
	// protobuf.
	toWire func(ctx context.Context, r *frontend.Request, body *[]byte, maxBytes int) (*[]byte, *frontend.Refusal)
	// response turns the body of a response from protobuf.
	response func(s otlp.Signal, wire []byte) []byte
	// marshal writes a google.rpc.Status.
	marshal func(m proto.Message) ([]byte, error)
}

// formats returns all formats. The last one answers requests of an unknown
// type (OTLP specification: JSON is readable without a schema).
func formats(limits otlp.Limits) []*format {
	return []*format{
		{
			name: "protobuf", mediaType: "application/x-protobuf", marshal: proto.Marshal,
			response: func(_ otlp.Signal, wire []byte) []byte { return wire },
		},
		{
			name: "json", mediaType: "application/json", marshal: protojson.Marshal, toWire: (&jsonReader{limits: limits}).toWire,
			response: func(s otlp.Signal, wire []byte) []byte { return otlp.AppendResponseJSON(nil, s, wire) },
		},
	}
}

// jsonReader decodes bodies of JSON. It remembers how large requests of each signal
// were in protobuf relative to their text, so that it asks for the room that the next
// one probably needs.
type jsonReader struct {
	limits otlp.Limits
	ratio  [otlp.Profiles + 1]atomic.Uint32 // in parts of ratioOne
	again  atomic.Int64                     // how often the room was too small
}

const (
	ratioOne = 1 << 10
	// leastRatio is what nearly all texts need. More than mostRatio is not asked for
	// ahead: a client could make the requests of others too large for the budget.
	leastRatio, mostRatio = ratioOne / 2, ratioOne
)

// toWire decodes a body into at most maxBytes bytes. The wire form is nearly always the
// shorter one; lists of small numbers grow, eightfold at most.
func (j *jsonReader) toWire(ctx context.Context, r *frontend.Request, body *[]byte, maxBytes int) (*[]byte, *frontend.Refusal) {
	defer bufpool.Put(body)
	s, text := r.Route.Signal, *body
	most := min(otlp.MaxWireBytes(len(text)), maxBytes)
	for room := min(j.room(s, len(text)), most); ; room = min(4*room, most) {
		buf, err := r.GetBuffer(cap(*body), room)
		if err != nil {
			return nil, frontend.RefuseOverload(err)
		}
		room = min(cap(*buf), most) // it is charged as a whole
		out, unknown, err := j.limits.DecodeJSON(ctx, (*buf)[:0:room], s, text)
		if err == nil {
			j.learn(s, len(text), len(out))
			if unknown.End > 0 {
				r.Notice = noticeOf(s, text, unknown)
			}
			*buf = out
			return buf, nil
		}
		bufpool.Put(buf)
		switch {
		case ctx.Err() != nil:
			return nil, frontend.RefuseOverload(err) // nobody is there for the answer
		case !errors.Is(err, otlp.ErrShortBuffer):
			refused := frontend.RefuseData(err)
			refused.Message += frontend.Guess(r.Format, text)
			return nil, refused
		case room == most:
			return nil, frontend.RefuseSize(maxBytes)
		}
		j.again.Add(1)
	}
}

// room returns how many bytes to try first for n bytes of text.
func (j *jsonReader) room(s otlp.Signal, n int) int {
	return int(int64(n)*int64(min(max(leastRatio, j.ratio[s].Load()), mostRatio))/ratioOne) + 64
}

// learn adapts the ratio to a request: at once if it needs more, a little if less.
func (j *jsonReader) learn(s otlp.Signal, text, wire int) {
	const spare, slow = 16, 16 // a sixteenth more than needed; a sixteenth of the way down
	now := uint32(int64(wire)*ratioOne/int64(text)) * (spare + 1) / spare
	old := j.ratio[s].Load()
	if now <= old {
		now = old - (old-now)/slow
	}
	if now != old {
		j.ratio[s].Store(now)
	}
}

// noticeOf returns what to say about a request in JSON without items that has a field
// that is not known, such as that of another signal.
func noticeOf(s otlp.Signal, text []byte, u otlp.UnknownField) func() string {
	const most = 100 // of a key, which outlives the text
	key := bytes.Trim(u.Key(text), `"`)
	name, other := string(key[:min(len(key), most)]), u.Signal(text)
	return func() string {
		notice := "the request has no items of " + s.String() + "; the field " + frontend.Quote(name) + " is not known"
		if other.Valid() {
			return notice + ": it is one of " + other.String() + ", which are sent to " + other.Spec().Path
		}
		return notice + suggest.Known(name, u.Known())
	}
}

// formatFor finds the format of a Content-Type. known is false if it is the one
// for unknown types.
func formatFor(all []*format, contentType string) (f *format, known bool) {
	for _, f := range all {
		if contentType == f.mediaType {
			return f, true
		}
	}
	mediaType, _, _ := strings.Cut(contentType, ";") // parameters mean nothing here, also malformed ones
	for _, f := range all {
		if strings.EqualFold(strings.TrimSpace(mediaType), f.mediaType) {
			return f, true
		}
	}
	return all[len(all)-1], false
}

// refuseFormat explains which formats are read.
func refuseFormat(all []*format, contentType string) *frontend.Refusal {
	var read []string
	for _, f := range all {
		read = append(read, f.mediaType)
	}
	message := "unsupported Content-Type " + frontend.Quote(contentType)
	if contentType == "" {
		message = "the request has no Content-Type"
	}
	return &frontend.Refusal{Code: codes.InvalidArgument, HTTP: http.StatusUnsupportedMediaType, Reason: obsreport.ReasonMediaType,
		Message: message + ": expected " + strings.Join(read, " or ")}
}
