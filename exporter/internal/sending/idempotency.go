package sending

import (
	"context"

	"github.com/penstock-telemetry/penstock/pipeline"
)

// idempotencyKey is the header of draft-ietf-httpapi-idempotency-key-header, and over gRPC
// metadata. Its value is a string of RFC 8941, with quotes.
const idempotencyKey = "idempotency-key"

// withIdempotencyKey adds the id of a request, if a queue has given it one.
func withIdempotencyKey(ctx context.Context, headers map[string]string) map[string]string {
	id := pipeline.RequestID(ctx)
	if id == "" {
		return headers
	}
	if headers == nil {
		headers = make(map[string]string, 1)
	}
	headers[idempotencyKey] = `"` + id + `"`
	return headers
}
