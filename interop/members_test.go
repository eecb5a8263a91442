package interop

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var collector = flag.String("collector", "", "a binary of the Collector with the receiver otlp and the exporter otlp_grpc")

// reader is another implementation that decompresses. read returns what it makes of b.
type reader struct {
	codec   pipeline.Codec
	program string // that has to be there; "": none
	read    func(t *testing.T, program string, b []byte) ([]byte, error)
	// first says that it returns only the first of several members or frames. What is sent
	// to such a one with compressed_merge is lost without an error.
	first bool
}

// readers are what docs/configuration.md has in its table of compressed_merge.
var readers = map[string]reader{
	"Go, compress/gzip": {codec: pipeline.CodecGzip, read: func(_ *testing.T, _ string, b []byte) ([]byte, error) {
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	}},
	"Go, klauspost/compress/zstd": {codec: pipeline.CodecZstd, read: func(_ *testing.T, _ string, b []byte) ([]byte, error) {
		r, err := zstd.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}},
	"Python, gzip":                   {codec: pipeline.CodecGzip, program: "python3", read: script("-c", "import gzip,sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))")},
	"Python, zlib.decompressobj(31)": {codec: pipeline.CodecGzip, program: "python3", first: true, read: script("-c", "import zlib,sys; sys.stdout.buffer.write(zlib.decompressobj(31).decompress(sys.stdin.buffer.read()))")},
	"Node.js, zlib.gunzip":           {codec: pipeline.CodecGzip, program: "node", read: script("-e", "process.stdout.write(require('zlib').gunzipSync(require('fs').readFileSync(0)))")},
	"Node.js, zlib.createGunzip":     {codec: pipeline.CodecGzip, program: "node", read: script("-e", "process.stdin.pipe(require('zlib').createGunzip()).pipe(process.stdout)")},
	"Java, GZIPInputStream":          {codec: pipeline.CodecGzip, program: "java", read: javaGunzip},
}

// script returns a read that is a program with arguments.
func script(args ...string) func(*testing.T, string, []byte) ([]byte, error) {
	return func(t *testing.T, program string, b []byte) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Stdin = bytes.NewReader(b)
		return cmd.Output()
	}
}

func javaGunzip(t *testing.T, program string, b []byte) ([]byte, error) {
	source := filepath.Join(t.TempDir(), "Gunzip.java")
	const text = "public class Gunzip { public static void main(String[] a) throws Exception { new java.util.zip.GZIPInputStream(System.in).transferTo(System.out); System.out.flush(); } }"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return script(source)(t, program, b)
}

// Which implementations read several members or frames is as the documentation says.
func TestMembersOfOthers(t *testing.T) {
	parts := [][]byte{bytes.Repeat([]byte("one "), 5000), bytes.Repeat([]byte("two "), 5000), []byte("three")}
	for name, r := range readers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := ""
			if r.program != "" {
				var err error
				if program, err = exec.LookPath(r.program); err != nil {
					t.Skipf("it needs %s: %v", r.program, err)
				}
			}
			var joined, want []byte
			for _, p := range parts {
				joined, want = append(joined, testkit.Compress(r.codec, p)...), append(want, p...)
			}
			if r.first {
				want = parts[0]
			}
			got, err := r.read(t, program, joined)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d bytes (%s …), want %d: %v", len(got), hex.EncodeToString(got[:min(8, len(got))]), len(want), err)
			}
		})
	}
}

const collectorYAML = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "%[1]s"}, http: {endpoint: "%[2]s"}}}
exporters:
  otlp_grpc: {endpoint: "%[3]s", compression: none, tls: {insecure: true}, sending_queue: {enabled: false}, retry_on_failure: {enabled: false}}
service:
  telemetry: {metrics: {level: none}, logs: {level: error}}
  pipelines:
    logs: {receivers: [otlp], exporters: [otlp_grpc]}
`

// The Collector takes requests of several members and frames, over both protocols.
//
//	go test . -run TestMembersToCollector -v -args -collector PROGRAM
func TestMembersToCollector(t *testing.T) {
	if *collector == "" {
		t.Skip("it needs -collector")
	}
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	onGRPC, onHTTP := freeAddress(t), freeAddress(t)
	file := filepath.Join(t.TempDir(), "collector.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, collectorYAML, onGRPC, onHTTP, backend.GRPCEndpoint()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), *collector, "--config", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	for _, address := range []string{onGRPC, onHTTP} {
		testkit.Eventually(t, "a listener of the Collector", func() bool {
			c, err := net.DialTimeout("tcp", address, time.Second)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	passthrough := otlpclient.WithPassthrough(config.Passthrough{Mode: config.PassAny, Merge: true})
	toGRPC, toHTTP := config.DefaultGRPCClient(), config.DefaultHTTPClient()
	toGRPC.Endpoint, toHTTP.Endpoint = "http://"+onGRPC, "http://"+onHTTP
	overGRPC, err := otlpclient.NewGRPC(toGRPC, 10*time.Second, passthrough)
	if err != nil {
		t.Fatal(err)
	}
	defer overGRPC.Close()
	overHTTP, err := otlpclient.NewHTTP(toHTTP, nil, passthrough)
	if err != nil {
		t.Fatal(err)
	}
	defer overHTTP.Close()
	for _, c := range []struct {
		name   string
		sender otlpclient.Sender
		codecs pipeline.CodecSet
	}{
		{"gRPC", overGRPC, otlpclient.GRPCCapabilities(config.Gzip, config.Passthrough{Mode: config.PassAny, Merge: true}).Members},
		{"HTTP", overHTTP, otlpclient.HTTPCapabilities(config.Gzip, config.Passthrough{Mode: config.PassAny, Merge: true}).Members},
	} {
		for _, codec := range testkit.Codecs() {
			if !c.codecs.Has(codec) || !codec.CanJoin() {
				continue
			}
			before := backend.Items(otlp.Logs)
			_, err := otlpclient.SendBatch(t.Context(), c.sender, joinedBatch(t, codec))
			t.Logf("%s, %s: %d of 30 items, %v", c.name, codec, backend.Items(otlp.Logs)-before, err)
			if (codec == pipeline.CodecGzip || codec == pipeline.CodecZstd) && (err != nil || backend.Items(otlp.Logs)-before != 30) {
				t.Errorf("%s, %s: not all arrived", c.name, codec)
			}
		}
	}
}

// joinedBatch is a request of two members or frames.
func joinedBatch(t *testing.T, codec pipeline.Codec) *pipeline.Batch {
	t.Helper()
	one, two := logRecords(t, 10), logRecords(t, 20)
	b, err := pipeline.NewBatch(otlp.Logs, append(bytes.Clone(one), two...), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	encoded := pipeline.NewBuffer(0)
	defer encoded.Release()
	encoded.Bytes = append(testkit.Compress(codec, one), testkit.Compress(codec, two)...)
	b.AttachEncoded(encoded, codec, false)
	return b
}

// logRecords is a request with n log records.
func logRecords(t *testing.T, n int) []byte {
	t.Helper()
	scope := &logs.ScopeLogs{}
	for i := range n {
		scope.LogRecords = append(scope.LogRecords, &logs.LogRecord{TimeUnixNano: uint64(i), SeverityText: "INFO"})
	}
	b, err := proto.Marshal(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{scope}}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
