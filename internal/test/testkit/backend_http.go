package testkit

import (
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/otlp"
)

const protobufType = "application/x-protobuf"

// httpHandler is a Backend's HTTP side. It accepts protobuf only.
type httpHandler struct{ b *Backend }

func (h httpHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s, ok := signalBy(func(spec *otlp.Spec) bool {
		return r.URL.Path == spec.Path || slices.Contains(spec.Aliases, r.URL.Path)
	})
	switch {
	case !ok:
		http.Error(w, "unknown path "+r.URL.Path, http.StatusNotFound)
		return
	case r.Method != http.MethodPost:
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
		return
	case r.Header.Get("Content-Type") != protobufType:
		http.Error(w, "only "+protobufType, http.StatusUnsupportedMediaType)
		return
	}
	encoding := r.Header.Get("Content-Encoding")
	body, err := decompress.Decompress(encoding, nil, r.Body, maxBackendBytes, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer bufpool.Put(body)
	call := Call{Signal: s, Transport: "http", Encoding: encoding, Peer: r.RemoteAddr, Header: map[string][]string{}}
	for name, values := range r.Header {
		call.Header[strings.ToLower(name)] = values
	}
	h.answer(w, h.b.receive(r.Context(), call, *body))
}

func (h httpHandler) answer(w http.ResponseWriter, a Answer) {
	if a.HangUp {
		panic(http.ErrAbortHandler) // how a handler of net/http breaks the connection
	}
	body := a.success()
	if !a.Kept() {
		body, _ = proto.Marshal(a.status().Proto()) // cannot fail: its details are of a known type
		if after := a.retryAfterHeader(); after != "" {
			w.Header().Set("Retry-After", after)
		}
	}
	w.Header().Set("Content-Type", protobufType)
	w.WriteHeader(a.httpStatus())
	_, _ = w.Write(body) // a client that is gone needs no answer
}
