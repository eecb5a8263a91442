// Package reloads has tests of reloads under load: the configuration is replaced again and
// again, by good ones and bad ones, while clients send. No request fails, and what was
// acknowledged arrives.
//
//	go test ./internal/test/reloads -run TestReloads -reloads 1000 -timeout 1h -v
package reloads

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
	"github.com/penstock-telemetry/penstock/service"
)

var (
	reloads = flag.Int("reloads", 60, "how often the configuration is replaced")
	seed    = flag.Uint64("seed", 0, "of the changes; 0: another one each time")
)

func init() { otlpreceiver.RegisterGRPCEncodings() }

func TestMain(m *testing.M) { testkit.Main(m) }

// rig is a service under load.
type rig struct {
	*testing.T
	*place
	service *service.Service

	next         atomic.Int64
	failed       atomic.Int64
	mu           sync.Mutex
	acknowledged map[int64]string // with the client
	delivered    map[int64]bool
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, acknowledged: map[int64]string{}, delivered: map[int64]bool{}}
	backend := testkit.NewBackend(t, testkit.BackendConfig{Took: r.take})
	other := testkit.NewBackend(t, testkit.BackendConfig{CountOnly: true, Took: func(testkit.Call) {}})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	r.place = &place{dir: t.TempDir(), grpc: freeAddress(t), http: freeAddress(t), hb: backend.HTTPEndpoint(), backend: other.GRPCEndpoint(),
		dead: testkit.SilentPeer{HTTP2: true, Window: 1 << 20, Read: 1 << 16}.Start(t), taken: taken.Addr().String()}
	for i := range r.moving {
		r.moving[i] = freeAddress(t)
	}
	return r
}

// take is the backend's.
func (r *rig) take(c testkit.Call) {
	if c.Signal != otlp.Logs {
		return
	}
	var request collogs.ExportLogsServiceRequest
	if err := proto.Unmarshal(c.Bytes, &request); err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rl := range request.ResourceLogs {
		for _, sl := range rl.ScopeLogs {
			for _, l := range sl.LogRecords {
				r.delivered[l.Body.GetIntValue()] = true
			}
		}
	}
}

func (r *rig) options() service.Options {
	return service.Options{Components: components.Default(), DataDir: r.dir + "/data", DrainWithin: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(r.Output(), &slog.HandlerOptions{Level: slog.LevelError}))}
}

func (r *rig) start(s shape) {
	r.Helper()
	cfg, err := service.Load(r.options(), "yaml:"+r.yaml(s))
	if err != nil {
		r.Fatal(err)
	}
	if r.service, err = service.New(cfg, r.options()); err != nil {
		r.Fatal(err)
	}
	if err := r.service.Start(r.Context()); err != nil {
		r.Fatal(err)
	}
}

// reload replaces the configuration. A broken one has to be refused.
func (r *rig) reload(s shape) {
	r.Helper()
	cfg, err := service.Load(r.options(), "yaml:"+r.yaml(s))
	if err == nil {
		_, err = r.service.Reload(r.Context(), cfg)
	}
	switch {
	case s.broken == 0 && err != nil:
		r.Errorf("%+v: %v\n%s", s, err, r.yaml(s))
	case s.broken > 0 && (err == nil || !strings.Contains(err.Error(), breaks[s.broken-1].want)):
		r.Errorf("%+v: got %v, want %s", s, err, breaks[s.broken-1].want)
	}
}

// send sends until ctx ends, each request once.
func (r *rig) send(ctx context.Context, client otlpclient.Sender, name string) {
	defer client.Close()
	for ctx.Err() == nil {
		if !r.sendOne(ctx, client, name) {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Millisecond)
	}
}

// sendOne sends a request, and returns false if it failed.
func (r *rig) sendOne(ctx context.Context, client otlpclient.Sender, name string) bool {
	n := r.next.Add(1)
	body, err := proto.Marshal(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{{
		LogRecords: []*logs.LogRecord{{Body: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}, TimeUnixNano: uint64(time.Now().UnixNano())}}}}}}})
	if err != nil {
		panic(err)
	}
	if _, err = client.Send(context.WithoutCancel(ctx), otlpclient.Request{Signal: otlp.Logs, Bytes: body}); err != nil {
		if r.failed.Add(1) < 10 {
			r.Errorf("%s: %v", name, err)
		}
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acknowledged[n] = name
	return true
}

// client returns a client over HTTP.
func (r *rig) client(address string, compression config.Compression) otlpclient.Sender {
	r.Helper()
	settings := config.DefaultHTTPClient()
	settings.Endpoint, settings.Timeout, settings.Compression = "http://"+address, time.Minute, compression
	c, err := otlpclient.NewHTTP(settings, nil)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// clients begin to send, over gRPC and HTTP.
func (r *rig) clients(ctx context.Context) *sync.WaitGroup {
	var all sync.WaitGroup
	for i := range 3 {
		overGRPC := config.DefaultGRPCClient()
		overGRPC.Endpoint, overGRPC.Compression = "http://"+r.grpc, "none"
		a, err := otlpclient.NewGRPC(overGRPC, time.Minute)
		if err != nil {
			r.Fatal(err)
		}
		compression := []config.Compression{"none", "gzip", "zstd"}[i]
		b := r.client(r.http, compression)
		all.Go(func() { r.send(ctx, a, "gRPC") })
		all.Go(func() { r.send(ctx, b, "HTTP "+string(compression)) })
	}
	return &all
}

// missing are the acknowledged records that have not arrived.
func (r *rig) missing() (n int, first int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for number := range r.acknowledged {
		if !r.delivered[number] {
			if n++; first == 0 || number < first {
				first = number
			}
		}
	}
	return n, first
}

// open is how many files and goroutines the process has, except for those of queues:
// queues that were set aside stay open while they hold something.
func (r *rig) open() (files, goroutines int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		r.Skip("there is no /proc/self/fd here")
	}
	for _, e := range entries {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); !strings.HasPrefix(to, r.dir) {
			files++
		}
	}
	for stack := range strings.SplitSeq(stacks(), "\n\n") {
		if !strings.Contains(stack, "penstock/journal.") && !strings.Contains(stack, "penstock/delivery.") {
			goroutines++
		}
	}
	return files, goroutines
}

// stacks are those of all goroutines.
func stacks() string {
	b := make([]byte, 16<<20)
	return string(b[:runtime.Stack(b, true)])
}

func TestReloads(t *testing.T) {
	r := newRig(t)
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 1))
	var base, now shape
	r.start(base)
	ctx, cancel := context.WithCancel(t.Context())
	senders := r.clients(ctx)
	var opened, running int
	var history []change
	begun := time.Now()
	for i := range *reloads {
		next := now.change(random)
		if next.stuck = 0; i%50 >= 10 && i%50 < 12 { // its reloads take seconds
			next.stuck = 1 + i%2
		}
		before := r.failed.Load()
		from := r.next.Load()
		r.reload(next)
		history = append(history, change{from - margin, r.next.Load() + margin, fmt.Sprintf("reload %d: %+v -> %+v", i, now, next)})
		if r.failed.Load() > before {
			t.Errorf("reload %d: requests failed\nfrom %+v\nto   %+v", i, now, next)
		}
		if next.broken == 0 {
			now = next
		}
		if now.moving > 0 { // its receiver listens when Reload has returned
			client := r.client(r.moving[now.moving-1], "none")
			r.sendOne(ctx, client, "the receiver that moves")
			client.Close() // a connection that is idle would delay the next reload
		}
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		if i == *reloads/5 || i == *reloads-1 {
			r.reload(base)
			now = base
			r.settle()
			opened, running = r.compare(opened, running)
		}
		if t.Failed() {
			break
		}
	}
	took := time.Since(begun)
	cancel()
	senders.Wait()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if n, _ := r.missing(); n == 0 {
			break
		}
	}
	if n, first := r.missing(); n > 0 {
		t.Errorf("%d of %d acknowledged records are missing, the first is %d", n, len(r.acknowledged), first)
	}
	ended, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.service.Shutdown(ended); err != nil && now.stuck == 0 {
		t.Error(err)
	}
	if t.Failed() {
		r.describeQueues()
		r.describeMissing(history)
	}
	t.Logf("%d reloads in %s, %d requests acknowledged, %d failed", *reloads, took.Round(time.Millisecond), len(r.acknowledged), r.failed.Load())
}

// change is a reload with the numbers of the records that were sent around it.
type change struct {
	first, last int64
	text        string
}

const margin = 20

// describeMissing logs which records are missing, and the reloads in which they were sent.
func (r *rig) describeMissing(history []change) {
	for n, client := range r.acknowledged {
		if r.delivered[n] {
			continue
		}
		r.Logf("missing: %d, of %s", n, client)
		for _, c := range history {
			if c.first <= n && n <= c.last {
				r.Log(c.text)
			}
		}
	}
}

// describeQueues logs what the queues hold when the service has ended.
func (r *rig) describeQueues() {
	folders, _ := filepath.Glob(filepath.Join(r.dir, "*", "penstock", "*", "*"))
	for _, folder := range folders {
		j, err := journal.Open(folder, journal.Options{})
		if err != nil {
			r.Logf("%s: %v", folder, err)
			continue
		}
		for _, name := range j.Cursors() {
			if c, err := j.Cursor(name, journal.End); err == nil {
				r.Logf("%s: %s holds %+v", folder, name, c.Held())
			}
		}
		j.Close()
	}
}

// settle waits until what the last reload has replaced is gone.
func (r *rig) settle() {
	r.reload(shape{}) // waits for the end of the one before
	time.Sleep(300 * time.Millisecond)
}

// whatIsOpen are the files, and where the goroutines were started.
func whatIsOpen() string {
	var all strings.Builder
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		fmt.Fprintln(&all, to)
	}
	started := map[string]int{}
	for line := range strings.Lines(stacks()) {
		if from, ok := strings.CutPrefix(line, "created by "); ok {
			from, _, _ = strings.Cut(from, " in goroutine")
			started[strings.TrimSpace(from)]++
		}
	}
	for from, n := range started {
		fmt.Fprintln(&all, n, from)
	}
	return all.String()
}

// compare checks that files and goroutines have not become more.
func (r *rig) compare(opened, running int) (nowOpened, nowRunning int) {
	nowOpened, nowRunning = r.open()
	if opened > 0 && (nowOpened > opened+20 || nowRunning > running+40) {
		r.Errorf("%d files and %d goroutines, after %d and %d\n%s", nowOpened, nowRunning, opened, running, whatIsOpen())
	}
	r.Logf("%d files, %d goroutines", nowOpened, nowRunning)
	return nowOpened, nowRunning
}
