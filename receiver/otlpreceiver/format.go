package otlpreceiver

import (
	"mime"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/otlp"
)

// format is one way to write requests and responses over HTTP.
type format struct {
	name      string // for Client.Format and spans
	mediaType string
	// toWire turns the body of a request into protobuf, in the same buffer or
	// another of bufpool; the one that it was given is no longer the caller's.
	// nil: requests in this format are refused, responses are not.
	toWire func(s otlp.Signal, body *[]byte) (*[]byte, error)
	// marshal writes a google.rpc.Status.
	marshal func(m proto.Message) ([]byte, error)
}

// formats returns all formats. The last one answers requests of a type that
// nobody knows (OTLP specification: JSON is readable without a schema).
func formats() []*format {
	return []*format{
		{
			name: "protobuf", mediaType: "application/x-protobuf", marshal: proto.Marshal,
			toWire: func(_ otlp.Signal, body *[]byte) (*[]byte, error) { return body, nil },
		},
		{name: "json", mediaType: "application/json", marshal: protojson.Marshal},
	}
}

// formatFor finds the format of a Content-Type. known is false if it is the one
// for types that nobody knows.
func formatFor(all []*format, contentType string) (f *format, known bool) {
	for _, f := range all {
		if contentType == f.mediaType {
			return f, true
		}
	}
	if mediaType, _, err := mime.ParseMediaType(contentType); err == nil {
		for _, f := range all {
			if mediaType == f.mediaType {
				return f, true
			}
		}
	}
	return all[len(all)-1], false
}

// refuseFormat explains which formats are read.
func refuseFormat(all []*format, f *format, known bool, contentType string) *refusal {
	var read []string
	for _, f := range all {
		if f.toWire != nil {
			read = append(read, f.mediaType)
		}
	}
	expected := "expected " + strings.Join(read, " or ")
	switch {
	case known:
		return unsupportedMedia(f.mediaType + " requests are not supported yet in this release: " + expected)
	case contentType == "":
		return unsupportedMedia("the request has no Content-Type: " + expected)
	}
	return unsupportedMedia("unsupported Content-Type " + quote(contentType) + ": " + expected)
}
