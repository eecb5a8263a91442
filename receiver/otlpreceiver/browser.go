package otlpreceiver

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// What is not a request with telemetry: probes of load balancers, people with a browser,
// and preflights.

// isProbe reports whether the request only looks whether a server is there.
func (q *httpRequest) isProbe() bool {
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		return false
	}
	_, served := q.h.routes[cleanPath(q.Path)]
	return !served && q.r.ContentLength == 0
}

// answerProbe answers without counting or logging: nobody sent data.
func (q *httpRequest) answerProbe() {
	status := http.StatusNotFound
	if q.Path == "/" {
		status = http.StatusOK
	}
	q.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	q.w.WriteHeader(status)
	paths := slices.Sorted(maps.Keys(q.h.routes))
	_, _ = io.WriteString(q.w, "penstock receives OTLP/HTTP here, with POST to "+strings.Join(paths, ", ")+"\n")
}

// isPreflight reports whether a browser asks if a page may send (Fetch standard,
// "CORS-preflight fetch").
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// preflight answers what the CORS middleware has looked at, which has set the headers
// of what it allows.
func (q *httpRequest) preflight() {
	if q.w.Header().Get("Access-Control-Allow-Origin") != "" {
		q.w.WriteHeader(http.StatusNoContent)
		return
	}
	origin := frontend.Quote(q.r.Header.Get("Origin"))
	refused := &frontend.Refusal{Code: codes.PermissionDenied, HTTP: http.StatusForbidden, Reason: obsreport.ReasonCORS,
		Message: "pages of " + origin + " may not send: CORS is off, allow them in protocols.http.cors.allowed_origins"}
	if q.h.cors {
		refused.Message = "pages of " + origin + " with the headers " + frontend.Quote(q.r.Header.Get("Access-Control-Request-Headers")) +
			" may not send: allow them in protocols.http.cors, allowed_origins and allowed_headers"
	}
	q.h.Reject(q.r.Context(), &q.Request, &q.conn.Peer, q, refused)
}
