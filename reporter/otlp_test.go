package reporter

import (
	"context"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

func TestSmoke(t *testing.T) {
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	r, err := NewOTLP(OTLPConfig{Endpoint: b.GRPCEndpoint(), Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	origin := samples.CPU(20)
	var f libpf.Frames
	f.Append(libpf.Frame{Type: libpf.PythonFrame, FunctionName: "a", SourceFile: "a.py", SourceLine: 3})
	f.Append(libpf.Frame{Type: libpf.PythonFrame, FunctionName: "b", SourceFile: "a.py", SourceLine: 4})
	for i := range 5 {
		if err := r.ReportTraceEvent(&samples.Trace{Frames: f, CustomLabels: map[string]string{"k": "v"}}, &samples.TraceEventMeta{Timestamp: time.Now().UnixNano(), Origin: origin, PID: 3, TID: int64(i % 2), Comm: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	r.ReportHostMetadata(map[string]string{"host.name": "h"})
	if err := r.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, req := range b.Requests(otlp.Profiles) {
		testkit.CheckProfiles(t, req)
		t.Logf("%s", otlp.AppendJSON(nil, otlp.Profiles, req))
	}
	t.Logf("%+v", r.Stats())
}
