package otlphttpexporter

import (
	"io"
	"net/http"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// With encoding: json a request of every signal arrives as its JSON, and the answer in
// JSON is understood.
func TestEncodingJSON(t *testing.T) {
	t.Parallel()
	base, arrivals := destination(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}`)
	})
	for _, compression := range []string{"none", "gzip", "lz4"} {
		e := start(t, "{endpoint: '"+base+"', encoding: json, compression: "+compression+"}")
		for _, s := range otlp.Signals() {
			b := testkit.PooledBatch(t, s, spans(7), nil)
			want := otlp.AppendJSON(nil, s, b.Bytes())
			refusal := pipeline.Classify(e.Consume(t.Context(), b))
			items := int64(b.Items())
			b.Release()
			if refusal == nil || refusal.Kind != pipeline.Partial || refusal.Rejected != min(2, items) {
				t.Errorf("%s: the answer became %+v, want %d rejected", s, refusal, min(2, items))
			}
			got := <-arrivals
			if got.kind != "application/json" || string(got.body) != string(want) {
				t.Errorf("%s: %s %s, want %s", s, got.kind, got.body, want)
			}
		}
	}
}
