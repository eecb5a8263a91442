package relay

import (
	"bytes"
	"context"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// seeing is a consumer that notes the compressed bytes of the last batch.
type seeing struct {
	can  pipeline.Capabilities
	got  pipeline.Encoded
	used int64 // bytes of the budget, while it was called
	r    *relay
}

func (s *seeing) Capabilities() pipeline.Capabilities { return s.can }
func (s *seeing) Consume(_ context.Context, b *pipeline.Batch) error {
	s.got = b.Encoded()
	s.got.Bytes = bytes.Clone(s.got.Bytes)
	s.used = s.r.budget.Stats().Used
	return nil
}

// The receiver keeps the compressed bytes of a request only if a consumer can use them,
// which it asks for each request, and only if they are shorter than the request.
func TestReceiverKeepsWhatIsUsed(t *testing.T) {
	r := newRelay(t)
	request := bytes.Repeat(namedRequest(t), 400)
	member := gzipped(t, request)
	twice := append(gzipped(t, request[:0]), member...)
	gzip, zstd := pipeline.CodecsOf(pipeline.CodecGzip), pipeline.CodecsOf(pipeline.CodecZstd)
	for _, transport := range []string{"grpc", "http"} {
		var without int64
		for _, c := range []struct {
			name string
			can  pipeline.Capabilities
			body []byte
			kept bool
		}{
			{"nothing is used", pipeline.Capabilities{}, member, false},
			{"another codec is", pipeline.Capabilities{Codecs: zstd, Members: zstd}, member, false},
			{"it is", pipeline.Capabilities{Codecs: gzip}, member, true},
			{"single ones are", pipeline.Capabilities{Codecs: gzip}, twice, false},
			{"several are", pipeline.Capabilities{Codecs: gzip, Members: gzip}, twice, true},
			{"longer than plain", pipeline.Capabilities{Codecs: gzip, Members: gzip}, gzipped(t, []byte{0x0a, 0}), false},
		} {
			s := &seeing{can: c.can, r: r}
			r.to.Turn(s)
			noError(t, r.send(transport, otlp.Logs, message{"gzip", c.body}))
			if kept := s.got.Codec == pipeline.CodecGzip; kept != c.kept || kept && !bytes.Equal(s.got.Bytes, c.body) {
				t.Errorf("%s, %s: kept %v, %d bytes of %d", transport, c.name, kept, len(s.got.Bytes), len(c.body))
			}
			switch {
			case without == 0:
				without = s.used
			case c.kept && s.used < without+int64(len(c.body)):
				t.Errorf("%s, %s: %d bytes of the budget are used, %d without the compressed bytes", transport, c.name, s.used, without)
			}
		}
	}
}
