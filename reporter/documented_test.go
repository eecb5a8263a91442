package reporter_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/receiver/collectionagentreceiver"
	"github.com/penstock-telemetry/penstock/reporter"
)

// The documented interfaces, written out. What implements ours implements these, and
// the other way around: nothing is missing, nothing was added, no type is another.
type (
	documentedReporter interface {
		ReportFramesForTrace(trace *libpf.Trace)
		ReportCountForTrace(traceHash libpf.TraceHash, timestamp libpf.UnixTime32, count uint16, comm, podName, containerName string)
		ReportFallbackSymbol(frameID libpf.FrameID, symbol string)
		ExecutableMetadata(ctx context.Context, fileID libpf.FileID, fileName, buildID string)
		FrameMetadata(fileID libpf.FileID, addressOrLine libpf.AddressOrLineno, lineNumber libpf.SourceLineno, functionOffset uint32, functionName, filePath string)
		ReportHostMetadata(metadataMap map[string]string)
		ReportHostMetadataBlocking(ctx context.Context, metadataMap map[string]string, maxRetries int, waitRetry time.Duration) error
		ReportMetrics(timestamp uint32, ids []uint32, values []int64)
		Stop()
		GetMetrics() reporter.Metrics
	}
	documentedTimes interface {
		ReportInterval() time.Duration
		ReportMetricsInterval() time.Duration
		GRPCConnectionTimeout() time.Duration
		GRPCOperationTimeout() time.Duration
		GRPCStartupBackoffTime() time.Duration
		GRPCAuthErrorDelay() time.Duration
	}
)

// The documented signatures.
var (
	_ func(context.Context, *reporter.Config) (*reporter.GRPCReporter, error) = reporter.Start
	_ func(context.Context, *reporter.Config) (reporter.Reporter, error)      = reporter.StartOTLP

	_ reporter.Reporter             = documentedReporter(nil)
	_ documentedReporter            = reporter.Reporter(nil)
	_ documentedReporter            = (*reporter.GRPCReporter)(nil)
	_ documentedReporter            = (*reporter.OTLPReporter)(nil)
	_ reporter.TraceReporter        = reporter.Reporter(nil)
	_ reporter.SymbolReporter       = reporter.Reporter(nil)
	_ reporter.HostMetadataReporter = reporter.Reporter(nil)
	_ reporter.MetricsReporter      = reporter.Reporter(nil)
	_ reporter.Times                = documentedTimes(nil)
	_ documentedTimes               = reporter.Times(nil)

	_ = reporter.Config{
		CollAgentAddr: "", MaxRPCMsgSize: int(0),
		ExecMetadataMaxQueue: uint32(0), CountsForTracesMaxQueue: uint32(0), MetricsMaxQueue: uint32(0), FramesForTracesMaxQueue: uint32(0),
		FrameMetadataMaxQueue: uint32(0), HostMetadataMaxQueue: uint32(0), FallbackSymbolsMaxQueue: uint32(0),
		DisableTLS: false, MaxGRPCRetries: uint32(0), Times: documentedTimes(nil),
	}
	_ = reporter.HostMetadata{Metadata: map[string]string{}, Timestamp: uint64(0)}
	_ = reporter.Metrics{
		CountsForTracesOverwriteCount: uint32(0), ExeMetadataOverwriteCount: uint32(0), FrameMetadataOverwriteCount: uint32(0),
		FramesForTracesOverwriteCount: uint32(0), HostMetadataOverwriteCount: uint32(0), MetricsOverwriteCount: uint32(0),
		FallbackSymbolsOverwriteCount: uint32(0),
		RPCBytesOutCount:              int64(0), RPCBytesInCount: int64(0), WireBytesOutCount: int64(0), WireBytesInCount: int64(0),
	}

	_ = libpf.Trace{Files: []libpf.FileID{}, Linenos: []libpf.AddressOrLineno{}, FrameTypes: []libpf.FrameType{}, Hash: libpf.TraceHash{}}
	_ = libpf.TraceAndCounts{Hash: libpf.TraceHash{}, Timestamp: libpf.UnixTime32(0), Count: uint16(0), Comm: "", PodName: "", ContainerName: ""}
	_ = libpf.FrameMetadata{FileID: libpf.FileID{}, AddressOrLine: libpf.AddressOrLineno(0), LineNumber: libpf.SourceLineno(0), FunctionOffset: uint32(0), FunctionName: "", Filename: ""}
	_ = []libpf.FrameType{libpf.UnknownFrame, libpf.PHPFrame, libpf.PHPJITFrame, libpf.PythonFrame, libpf.NativeFrame, libpf.KernelFrame,
		libpf.HotSpotFrame, libpf.RubyFrame, libpf.PerlFrame, libpf.V8Frame, libpf.AbortFrame}

	_ func(hi, lo uint64) libpf.FileID                                         = libpf.NewFileID
	_ func([]byte) (libpf.FileID, error)                                       = libpf.FileIDFromBytes
	_ func(string) (libpf.FileID, error)                                       = libpf.FileIDFromString
	_ func(string) (libpf.FileID, error)                                       = libpf.FileIDFromBase64
	_ func(hi, lo uint64) libpf.TraceHash                                      = libpf.NewTraceHash
	_ func([]byte) (libpf.TraceHash, error)                                    = libpf.TraceHashFromBytes
	_ func(string) (libpf.TraceHash, error)                                    = libpf.TraceHashFromString
	_ func(libpf.FileID, libpf.AddressOrLineno) libpf.FrameID                  = libpf.NewFrameID
	_ func(string) (libpf.FrameID, error)                                      = libpf.NewFrameIDFromString
	_ func([]byte) (libpf.FrameID, error)                                      = libpf.NewFrameIDFromBytes
	_ func(*libpf.Trace, libpf.FrameType, libpf.FileID, libpf.AddressOrLineno) = (*libpf.Trace).AppendFrame
	_ func(libpf.FileID, libpf.FileID) bool                                    = libpf.FileID.Equal
	_ func(libpf.FileID, libpf.FileID) bool                                    = libpf.FileID.Less
	_ func(libpf.FileID, libpf.FileID) int                                     = libpf.FileID.Compare
	_ func(libpf.FileID) uint32                                                = libpf.FileID.Hash32
	_ func(libpf.TraceHash) uint32                                             = libpf.TraceHash.Hash32
	_ func(libpf.FrameID) uint32                                               = libpf.FrameID.Hash32
	_ func(libpf.TraceHash, []byte)                                            = libpf.TraceHash.EncodeTo
	_ func(libpf.TraceHash) int                                                = libpf.TraceHash.EncodedLen
)

// times is how a profiler tells its intervals.
type times struct{ report, metrics time.Duration }

func (t times) ReportInterval() time.Duration        { return t.report }
func (t times) ReportMetricsInterval() time.Duration { return t.metrics }
func (times) GRPCConnectionTimeout() time.Duration   { return 3 * time.Second }
func (times) GRPCOperationTimeout() time.Duration    { return 5 * time.Second }
func (times) GRPCStartupBackoffTime() time.Duration  { return 10 * time.Millisecond }
func (times) GRPCAuthErrorDelay() time.Duration      { return time.Second }

// config fills every field.
func config(address string) *reporter.Config {
	return &reporter.Config{
		CollAgentAddr: address, MaxRPCMsgSize: 33554432,
		ExecMetadataMaxQueue: 1024, CountsForTracesMaxQueue: 1024, MetricsMaxQueue: 1024, FramesForTracesMaxQueue: 1024,
		FrameMetadataMaxQueue: 1024, HostMetadataMaxQueue: 2, FallbackSymbolsMaxQueue: 1024,
		DisableTLS: true, MaxGRPCRetries: 5, Times: times{10 * time.Millisecond, 10 * time.Millisecond},
	}
}

// A profiler as it was written against the documented API: every field of Config,
// every method, every constructor. What it reported arrives as OTLP.
func TestDocumentedAPI(t *testing.T) {
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	rep, err := reporter.StartOTLP(context.Background(), config(b.GRPCEndpoint()))
	if err != nil {
		t.Fatal(err)
	}
	profile(t, rep)
	b.Wait(t, otlp.Profiles, 1)
	checkStopped(t, rep)
	checkArrived(t, b.Requests(otlp.Profiles))
}

// The same profiler with the other reporter, and a collection agent behind it.
func TestDocumentedAPIWithAgent(t *testing.T) {
	sink := &testkit.Sink{}
	c := collectionagentreceiver.DefaultConfig()
	c.Endpoint, c.ReportInterval = "127.0.0.1:0", time.Hour
	agent, err := collectionagentreceiver.New(c, component.Settings{ID: "collectionagent"})
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Register(otlp.Profiles, sink); err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	rep, err := reporter.Start(context.Background(), config(agent.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	profile(t, rep)
	checkStopped(t, rep)
	if err := agent.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	checkArrived(t, sink.Requests(otlp.Profiles))
}

// checkStopped stops a reporter, twice, and looks at its metrics.
func checkStopped(t *testing.T, rep reporter.Reporter) {
	t.Helper()
	rep.Stop()
	rep.Stop()
	metrics := rep.GetMetrics()
	if metrics.RPCBytesOutCount < 100 || metrics.WireBytesOutCount < 100 {
		t.Errorf("no bytes were counted: %+v", metrics)
	}
	if again := rep.GetMetrics(); again != (reporter.Metrics{}) {
		t.Errorf("told twice: %+v", again)
	}
}

// checkArrived looks for what profile reports.
func checkArrived(t *testing.T, requests [][]byte) {
	t.Helper()
	const want = `host.id="4711"[] k8s.container.name="container"[] k8s.pod.name="pod"[]` +
		`0x0 main() /app/main.py from 10:12.0 {profile.frame.type="cpython"[]}
0xe51c in app [0x0,0x0)+0x0 {process.executable.build_id.gnu="buildid"[] process.executable.build_id.htlhash="77efa716a912a49217445787329fd29a"[]} {profile.frame.type="native"[]}
0x1000 in vmlinux [0x0,0x0)+0x0 {process.executable.build_id.htlhash="fffffffffffffffdfffffffffffffffd"[]} do_syscall_64()  from 0:0.0 {profile.frame.type="kernel"[]}
` + `thread.name="python3"[]`
	total := int64(0)
	for _, request := range requests {
		testkit.CheckProfiles(t, request)
		testkit.CheckBackends(t, request)
		for _, s := range testkit.ProfileSamples(t, request) {
			if got := s.Resource + s.Stack + s.Attributes; got != want {
				t.Errorf("unexpected sample:\n%s", got)
			}
			if len(s.Values) == 0 { // each counts 1
				total += int64(len(s.Times))
			}
			for _, v := range s.Values {
				total += v
			}
		}
	}
	if total != 3 {
		t.Errorf("%d samples arrived of 3", total)
	}
}

// profile reports one stack twice, with all that belongs to it.
func profile(t *testing.T, rep reporter.Reporter) {
	t.Helper()
	app := libpf.NewFileID(0x77efa716a912a492, 0x17445787329fd29a)
	fromString, err := libpf.FileIDFromString(app.StringNoQuotes())
	if err != nil || !fromString.Equal(app) {
		t.Fatal(fromString, err)
	}
	fromBase64, err := libpf.FileIDFromBase64(app.Base64())
	if err != nil || fromBase64.Compare(app) != 0 {
		t.Fatal(fromBase64, err)
	}
	fromBytes, err := libpf.FileIDFromBytes(app.Bytes())
	if err != nil || fromBytes.Less(app) || fromBytes.Hash32() != app.Hash32() {
		t.Fatal(fromBytes, err)
	}
	script := libpf.NewFileID(1, 2)
	hash := libpf.NewTraceHash(0x0001c03f8d6b8520, 0xedeaeea9460beebb)
	hashFromBytes, err := libpf.TraceHashFromBytes(hash.Bytes())
	if err != nil || hashFromBytes != hash {
		t.Fatal(hashFromBytes, err)
	}
	hashFromString, err := libpf.TraceHashFromString(hash.StringNoQuotes())
	if err != nil || hashFromString.Hash32() != hash.Hash32() {
		t.Fatal(hashFromString, err)
	}
	encoded := make([]byte, hash.EncodedLen())
	hash.EncodeTo(encoded)
	kernelFrame := libpf.NewFrameID(libpf.UnknownKernelFileID, 0x1000)
	frame, err := libpf.NewFrameIDFromString(kernelFrame.String())
	if err != nil || frame != kernelFrame {
		t.Fatal(frame, err)
	}
	if frame, err = libpf.NewFrameIDFromBytes(kernelFrame.Bytes()); err != nil || frame.Hash32() != kernelFrame.Hash32() {
		t.Fatal(frame, err)
	}
	if _, err := json.Marshal(libpf.UnixTime32(1)); err != nil {
		t.Fatal(err)
	}

	trace := &libpf.Trace{Hash: hash}
	trace.AppendFrame(libpf.PythonFrame, script, 8)
	trace.AppendFrame(libpf.NativeFrame, app, 0xe51c)
	trace.AppendFrame(libpf.KernelFrame, libpf.UnknownKernelFileID, 0x1000)

	rep.ReportHostMetadata(map[string]string{"host.id": "4711"})
	if err := rep.ReportHostMetadataBlocking(context.Background(), map[string]string{"host.id": "4711"}, 3, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	rep.ReportFramesForTrace(trace)
	rep.ExecutableMetadata(context.Background(), app, "app", "buildid")
	rep.FrameMetadata(script, 8, 12, 2, "main", "/app/main.py")
	rep.ReportFallbackSymbol(kernelFrame, "do_syscall_64")
	now := libpf.UnixTime32(time.Now().Unix())
	rep.ReportCountForTrace(hash, now, 2, "python3", "pod", "container")
	rep.ReportCountForTrace(hash, now, 1, "python3", "pod", "container")
	rep.ReportMetrics(uint32(now), []uint32{1, 2}, []int64{3, 4})
}
