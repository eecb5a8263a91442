// Package embed runs programs that use penstock as a library, as its users write
// them: a receiver of one's own (receive), a service with components of one's own
// (components), a service of few components (small), and a profiler (profiler).
// They import only public packages.
package embed

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

const module = "github.com/penstock-telemetry/penstock/"

// bin is where the programs are built, once.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "penstock-embed")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = dir
		if out, err := exec.Command("go", "build", "-o", bin, "./...").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
			return 1
		}
		return testkit.Checked(m).Run()
	}())
}

// A receiver of one's own prints what real clients send, and sends it on.
func TestReceive(t *testing.T) {
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	grpcAddr, httpAddr := freeAddr(t), freeAddr(t)
	p := start(t, nil, "receive", grpcAddr, httpAddr, backend.GRPCEndpoint())
	listening(t, grpcAddr)
	listening(t, httpAddr)

	for _, c := range []client{sdkGRPC(t, grpcAddr), sdkHTTP(t, httpAddr)} {
		c.send(t, "GET /cart")
	}
	samples := 0
	for _, send := range senders(t, grpcAddr, httpAddr) {
		for _, payload := range testkit.ProfilerPayloads(t) {
			n, err := otlp.Check(otlp.Profiles, payload)
			noError(t, err)
			samples += n
			_, err = send.Send(t.Context(), otlpclient.Request{Signal: otlp.Profiles, Bytes: payload})
			noError(t, err)
		}
	}
	for s, want := range map[otlp.Signal]int{otlp.Traces: 2, otlp.Metrics: 4, otlp.Logs: 2, otlp.Profiles: samples} {
		if got := backend.Items(s); got != want {
			t.Errorf("the server behind it has %d %s, want %d", got, s.Spec().Item, want)
		}
	}
	out := p.stop(t)
	for line, want := range map[string]int{
		"span GET /cart\n": 2, "metric orders 3\n": 2, "metric load 0.5\n": 2, "log paid\n": 2,
	} {
		if got := strings.Count(out, line); got != want {
			t.Errorf("it printed %q %d times, want %d", line, got, want)
		}
	}
	printed := 0
	for _, n := range regexp.MustCompile(`profile of (\d+) samples`).FindAllStringSubmatch(out, -1) {
		var v int
		_, err := fmt.Sscan(n[1], &v)
		noError(t, err)
		printed += v
	}
	if printed != samples || samples == 0 {
		t.Errorf("it printed %d samples, want %d", printed, samples)
	}
	if t.Failed() {
		t.Logf("it printed\n%s", out)
	}
}

// The receiver of one's own is a program of one screen.
func TestReceiveIsShort(t *testing.T) {
	text, err := os.ReadFile("receive/main.go")
	noError(t, err)
	if n := bytes.Count(text, []byte("\n")); n >= 60 {
		t.Errorf("receive/main.go has %d lines, want less than 60", n)
	}
}

// A receiver, a processor, an exporter and a consumer from outside stand in a
// configuration like penstock's own.
func TestComponents(t *testing.T) {
	p := start(t, []string{"GRPC_ENDPOINT=127.0.0.1:0"}, "components")
	c := sdkGRPC(t, p.address(t, "Starting GRPC server"))
	c.span(t, "GET /cart", "GET /healthz", "SELECT", "GET /healthz")
	c.span(t, "GET /healthz")
	p.wait(t, "got log still here", 2)
	out := p.stop(t)
	for line, want := range map[string]int{
		"got span GET /cart\n": 1, "got span SELECT\n": 1, "/healthz\n": 0, "the program took 2 spans\n": 1,
	} {
		if got := strings.Count(out, line); got != want {
			t.Errorf("it printed %q %d times, want %d, in\n%s", line, got, want, out)
		}
	}
}

// A service of three components runs, and links no others.
func TestSmall(t *testing.T) {
	p := start(t, []string{"GRPC_ENDPOINT=127.0.0.1:0", "HTTP_ENDPOINT=127.0.0.1:0"}, "small")
	sdkGRPC(t, p.address(t, "Starting GRPC server")).span(t, "GET /cart")
	sdkHTTP(t, p.address(t, "Starting HTTP server")).span(t, "GET /cart")
	out := p.stop(t)
	for _, text := range []string{"GET /cart", "deployment.environment.name: Str(test)"} {
		if got := strings.Count(out, text); got != 2 {
			t.Errorf("it printed %q %d times, want 2, in\n%s", text, got, out)
		}
	}
	want := []string{"exporter/debugexporter", "processor/attraction", "processor/resourceprocessor", "receiver/otlpreceiver"} // attraction is what resource stands on
	if got := linkedComponents(t, "./small"); !slices.Equal(got, want) {
		t.Errorf("it links the components %q, want %q", got, want)
	}
	if all := linkedComponents(t, "./components"); len(all) < 10 {
		t.Errorf("the program with all components links %q: are they looked for in the right places?", all)
	}
}

// A reporter leaves the rest of its program alone.
func TestProfiler(t *testing.T) {
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	p := start(t, nil, "profiler", backend.GRPCEndpoint())
	out := p.end(t)
	for _, text := range []string{"3 samples reported, 3 acknowledged", "gRPC's gzip and the memory limit are as they were"} {
		if !strings.Contains(out, text) {
			t.Errorf("it did not print %q but\n%s", text, out)
		}
	}
	if got := testkit.ProfileSamples(t, backend.Requests(otlp.Profiles)...); len(got) != 1 || len(got[0].Times) != 3 || !strings.Contains(got[0].Stack, "main.main") {
		t.Errorf("the server has %+v, want one stack at three times", got)
	}
	if all := linkedComponents(t, "./profiler"); len(all) > 0 {
		t.Errorf("it links the components %q", all)
	}
}

// The programs import no internal package of penstock, nor one of its tests.
func TestProgramsImportPublicPackages(t *testing.T) {
	programs := 0
	for line := range strings.Lines(goList(t, "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...")) {
		fields := strings.Fields(line)
		programs++
		for _, imported := range fields[1:] {
			if strings.HasPrefix(imported, module) && strings.Contains(imported+"/", "/internal/") {
				t.Errorf("%s imports %s", fields[0], imported)
			}
		}
	}
	if programs < 4 {
		t.Errorf("looked at %d programs", programs)
	}
}

// linkedComponents are the packages of components in a program.
func linkedComponents(t *testing.T, program string) (names []string) {
	t.Helper()
	for pkg := range strings.FieldsSeq(goList(t, "-deps", program)) {
		name, ours := strings.CutPrefix(pkg, module)
		kind, _, _ := strings.Cut(name, "/")
		if ours && slices.Contains([]string{"receiver", "processor", "exporter", "extension"}, kind) && !strings.Contains(name, "/internal/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func goList(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, &errs)
	}
	return string(out)
}

// program is one that runs.
type program struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // after ended

	mu  sync.Mutex
	out bytes.Buffer
}

// start runs a program with more environment. What is in the environment about the
// memory limit is left out.
func start(t *testing.T, env []string, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(filepath.Join(bin, name), args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOMEMLIMIT=") }), env...)
	noError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // if the test failed before its end
		<-p.ended
	})
	return p
}

// Write implements io.Writer.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// wait waits until text was printed n times.
func (p *program) wait(t *testing.T, text string, n int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%d times %q", n, text), func() bool { return strings.Count(p.output(), text) >= n })
}

var endpoint = regexp.MustCompile(`endpoint=(\S+)`)

// address waits until a server was started, which the log tells, and returns where
// it listens.
func (p *program) address(t *testing.T, server string) string {
	t.Helper()
	p.wait(t, "Everything is ready", 1)
	for line := range strings.Lines(p.output()) {
		if m := endpoint.FindStringSubmatch(line); m != nil && strings.Contains(line, server) {
			return m[1]
		}
	}
	t.Fatalf("no line %q in\n%s", server, p.output())
	return ""
}

// stop asks the program to end, and returns what it printed.
func (p *program) stop(t *testing.T) string {
	t.Helper()
	noError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	return p.end(t)
}

// end waits for the program to end without an error, and returns what it printed.
func (p *program) end(t *testing.T) string {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Fatalf("%s still runs; it printed\n%s", p.cmd.Path, p.output())
	}
	if p.err != nil {
		t.Fatalf("%s: %v; it printed\n%s", p.cmd.Path, p.err, p.output())
	}
	return p.output()
}

// client is what the Go SDK sends with.
type client struct {
	traces  sdktrace.SpanExporter
	metrics sdkmetric.Exporter
	logs    sdklog.Exporter
}

func sdkGRPC(t *testing.T, addr string) (c client) {
	t.Helper()
	ctx := t.Context()
	var errs [3]error
	c.traces, errs[0] = otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(addr), otlptracegrpc.WithInsecure())
	c.metrics, errs[1] = otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(addr), otlpmetricgrpc.WithInsecure())
	c.logs, errs[2] = otlploggrpc.New(ctx, otlploggrpc.WithEndpoint(addr), otlploggrpc.WithInsecure())
	return c.made(t, errs[:]...)
}

func sdkHTTP(t *testing.T, addr string) (c client) {
	t.Helper()
	ctx := t.Context()
	var errs [3]error
	c.traces, errs[0] = otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(addr), otlptracehttp.WithInsecure())
	c.metrics, errs[1] = otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(addr), otlpmetrichttp.WithInsecure())
	c.logs, errs[2] = otlploghttp.New(ctx, otlploghttp.WithEndpoint(addr), otlploghttp.WithInsecure())
	return c.made(t, errs[:]...)
}

func (c client) made(t *testing.T, errs ...error) client {
	t.Helper()
	for _, err := range errs {
		noError(t, err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		for _, shutdown := range []func(context.Context) error{c.traces.Shutdown, c.metrics.Shutdown, c.logs.Shutdown} {
			noError(t, shutdown(ctx))
		}
	})
	return c
}

// send sends one span, a counter at 3, a gauge at 0.5 and one log record.
func (c client) send(t *testing.T, span string) {
	t.Helper()
	ctx := t.Context()
	c.span(t, span)

	reader := sdkmetric.NewManualReader()
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	orders, err := mp.Meter("embed").Int64Counter("orders")
	noError(t, err)
	orders.Add(ctx, 3)
	load, err := mp.Meter("embed").Float64Gauge("load")
	noError(t, err)
	load.Record(ctx, 0.5)
	var measured metricdata.ResourceMetrics
	noError(t, reader.Collect(ctx, &measured))
	noError(t, c.metrics.Export(ctx, &measured))

	lp := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewSimpleProcessor(c.logs)))
	var r otellog.Record
	r.SetBody(attribute.StringValue("paid"))
	lp.Logger("embed").Emit(ctx, r)
}

// span sends spans in one request.
func (c client) span(t *testing.T, names ...string) {
	t.Helper()
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(open{c.traces}))
	for _, name := range names {
		_, span := tp.Tracer("embed").Start(t.Context(), name)
		span.End()
	}
	noError(t, tp.Shutdown(t.Context())) // sends them
}

// open is an exporter that is used again.
type open struct{ sdktrace.SpanExporter }

func (open) Shutdown(context.Context) error { return nil }

// senders are clients for profiles, which the SDK does not send yet.
func senders(t *testing.T, grpcAddr, httpAddr string) []otlpclient.Sender {
	t.Helper()
	g := config.DefaultGRPCClient()
	g.Endpoint, g.TLS.Insecure = grpcAddr, true
	overGRPC, err := otlpclient.NewGRPC(g, 10*time.Second)
	noError(t, err)
	h := config.DefaultHTTPClient()
	h.Endpoint = "http://" + httpAddr
	overHTTP, err := otlpclient.NewHTTP(h, nil)
	noError(t, err)
	t.Cleanup(func() {
		noError(t, overGRPC.Close())
		noError(t, overHTTP.Close())
	})
	return []otlpclient.Sender{overGRPC, overHTTP}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// listening waits until something listens at addr.
func listening(t *testing.T, addr string) {
	t.Helper()
	testkit.Eventually(t, "a server at "+addr, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
