package pipeline_test

import (
	"context"
	"fmt"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// scrubber is a processor of its own: it drops the spans of health checks.
type scrubber struct{}

func (scrubber) Edit(_ *otlpedit.Pass, _ otlpedit.Levels, span []byte, _ *otlpedit.Writer) (otlpedit.Verdict, error) {
	if string(otlp.Span(span).Name()) == "GET /healthz" {
		return otlpedit.Drop, nil
	}
	return otlpedit.Keep, nil
}

func (scrubber) End() {}

func newScrubber() *pipeline.Edits {
	return pipeline.NewEdits(otlpedit.Plan{
		Edits: otlpedit.Items, Drops: otlpedit.Items, New: func() otlpedit.Editor { return scrubber{} },
	})
}

// marker is a processor that needs no plan: it adds a resource with a schema URL
// by appending it: two requests laid end to end are one request.
type marker struct{}

func (marker) Process(ctx context.Context, b *pipeline.Batch) (*pipeline.Batch, error) {
	buf, err := b.NewBuffer(ctx, len(b.Bytes())+64)
	if err != nil {
		return nil, err // no room in the memory budget
	}
	defer buf.Release()
	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	rs.SetSchemaURL("https://example.com/schema")
	rs.Close()
	buf.Bytes = append(buf.Bytes, b.Bytes()...)
	buf.Bytes = append(buf.Bytes, e.Buf...)
	return b.Derive(buf, b.Items()), nil
}

// Two processors of one's own in front of a consumer.
func ExampleChain() {
	out := pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
		fmt.Println(b.Items(), b.Signal())
		for g := range otlp.Groups(b.Bytes()) {
			fmt.Printf("schema %q:", g.ResourceSchemaURL)
			for span := range g.Items.All() {
				fmt.Printf(" %s", otlp.Span(span).Name())
			}
			fmt.Println()
		}
		return nil
	})
	chain := pipeline.Chain(out,
		pipeline.Step{Name: "scrubber", Processor: newScrubber()},
		pipeline.Step{Name: "marker", Processor: marker{}})

	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	ss := rs.AddScopeSpans()
	for _, name := range []string{"GET /cart", "GET /healthz"} {
		span := ss.AddSpans()
		span.SetName(name)
		span.Close()
	}
	ss.Close()
	rs.Close()
	b, err := pipeline.NewBatch(otlp.Traces, e.Buf, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Release()
	fmt.Println(chain.Consume(context.Background(), b))
	// Output:
	// 1 traces
	// schema "": GET /cart
	// schema "https://example.com/schema":
	// <nil>
}
