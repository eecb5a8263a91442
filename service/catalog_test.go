package service

import (
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/otlp"
)

// What is listed is known, and what is known is listed.
func TestCatalogAgreesWithItself(t *testing.T) {
	t.Parallel()
	tree, err := conf.Load(conf.Options{Sources: []string{"yaml:{}"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range ComponentTypes() {
		p, _ := decodeBuiltin(typ.Kind, typ.Type, tree.Root()) // it may miss an endpoint
		made := map[Kind]bool{Receiver: p.receiver != nil, Processor: p.processor != nil, Exporter: p.exporter != nil}
		for k, can := range made {
			if can != (k == typ.Kind) {
				t.Errorf("%s %s: makes a %s: %v", typ.Kind, typ.Type, k, can)
			}
		}
		if typ.Kind == Extension && (p.extension == nil) != (typ.Type == "memory_limiter") {
			t.Errorf("extension %s: it cannot be made", typ.Type)
		}
		if (typ.Stability == nil) != (typ.Kind == Extension) {
			t.Errorf("%s %s: stability %v", typ.Kind, typ.Type, typ.Stability)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a type that is not listed is known")
		}
	}()
	_, _ = decodeBuiltin(Exporter, "kafka", tree.Root())
}

func TestAliasesMeanTheSame(t *testing.T) {
	t.Parallel()
	for _, typ := range ComponentTypes() {
		for _, name := range typ.names() {
			if got, _ := builtins().find(typ.Kind, name); got.Type != typ.Type {
				t.Errorf("%s %s is %s, want %s", typ.Kind, name, got.Type, typ.Type)
			}
		}
	}
	for _, alias := range []string{"otlp_grpc", "otlp_http"} {
		if got, _ := builtins().find(Exporter, alias); got.Type == "" {
			t.Errorf("the exporter %s is not known", alias)
		}
	}
}

func TestSignalsThatAComponentDoesNotKnow(t *testing.T) {
	t.Parallel()
	_, err := newFakes().catalog().load(Sources{URIs: []string{`yaml:
receivers: {in: }
exporters: {tracesonly: , outer/2: }
service:
  pipelines:
    traces: {receivers: [in], exporters: [tracesonly, outer/2]}
    logs: {receivers: [in], exporters: [tracesonly]}
`}})
	const want = `the exporter "tracesonly" does not support logs; it knows traces`
	if err == nil || !strings.HasSuffix(err.Error(), "7:41: service.pipelines.logs.exporters[0]: "+want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

// A signal's pipelines are its own: what goes into a connector as traces does not
// come out as logs.
func TestConnectorKeepsSignalsApart(t *testing.T) {
	t.Parallel()
	f := newFakes()
	f.service(t, `
receivers: {in: }
exporters: {out: , out/2: }
connectors: {forward: }
service:
  pipelines:
    traces: {receivers: [in], exporters: [forward]}
    logs: {receivers: [in], exporters: [forward]}
    traces/2: {receivers: [forward], exporters: [out]}
    logs/2: {receivers: [forward], exporters: [out/2]}
`)
	for _, s := range []otlp.Signal{otlp.Traces, otlp.Logs, otlp.Logs} {
		if err := f.send(t, "in", s); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(f.made["out"][0].batches, " ") + "; " + strings.Join(f.made["out/2"][0].batches, " "); got != "traces; logs logs" {
		t.Errorf("got %s", got)
	}
}
