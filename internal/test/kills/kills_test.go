// Package kills has tests of what the real program keeps: it is killed again and again
// while it is loaded, its disk gets full, and it has a large backlog. What was acknowledged
// is compared with what arrived.
//
//	go test ./internal/test/kills -run TestKills -kills 1000 -timeout 2h -v
//	go test ./internal/test/kills -run TestKills -kills 1000 -timeout 2h -v -keys
//	go test ./internal/test/kills -run TestKilledReloads -kills 1000 -timeout 2h -v
//
// TestKillsOfCompressed has requests that arrive compressed and leave as they came.
package kills

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

var (
	kills   = flag.Int("kills", 8, "how often the program is killed")
	clients = flag.Int("clients", 8, "how many clients send at the same time")
	keys    = flag.Bool("keys", false, "requests have idempotency keys, by which the backend recognises those that arrive again")
)

// TestMain registers what the backend reads.
func TestMain(m *testing.M) {
	testkit.RegisterGRPCEncodings()
	os.Exit(m.Run())
}

// consumers is num_consumers: how many requests can be in flight when the program ends.
const consumers = 4

const configuration = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "%[1]s"}}}
exporters:
  otlp:
    endpoint: "%[2]s"
    tls: {insecure: true}
    %[5]s
    timeout: 2s
    retry_on_failure: {initial_interval: 20ms, max_interval: 200ms}
    sending_queue: {storage: file_storage, num_consumers: 4, idempotency_key: %[4]t}
extensions:
  file_storage: {directory: "%[3]s", max_size: 1000000000}
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}, logs: {level: error}}
  pipelines:
    logs: {receivers: [otlp], exporters: [otlp]}
`

// counts are what the test knows of each record, by its number.
type counts struct {
	next         atomic.Int64
	mu           sync.Mutex
	acknowledged map[int64]bool
	delivered    map[int64]int
	duplicates   int
	known        map[string]bool // idempotency keys of the requests that were taken
	repeated     int             // requests with a known key

	// What arrives again was in one of the requests that were in flight when a life of the
	// program ended: at most consumers for each life.
	life     int
	requests []int                // the life in which each request was taken
	last     map[int64]int        // the request that brought a record last
	again    map[int]map[int]bool // by life: its requests of which something arrived again
	hangUps  map[int]bool         // lives in which the backend broke connections
}

// recognises reports whether the backend has a request already.
func (b *counts) recognises(c testkit.Call) bool {
	if !*keys || len(c.Header["idempotency-key"]) == 0 {
		return false
	}
	key := c.Header["idempotency-key"][0]
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known[key] {
		b.repeated++
		return true
	}
	b.known[key] = true
	return false
}

// numbersIn are those of the records of a request.
func numbersIn(request []byte) (numbers []int64) {
	var r collogs.ExportLogsServiceRequest
	if err := proto.Unmarshal(request, &r); err != nil {
		panic(err)
	}
	for _, rl := range r.ResourceLogs {
		for _, sl := range rl.ScopeLogs {
			for _, l := range sl.LogRecords {
				numbers = append(numbers, l.Body.GetIntValue())
			}
		}
	}
	return numbers
}

// take is the backend's: it counts a request.
func (b *counts) take(c testkit.Call) {
	if b.recognises(c) {
		return
	}
	numbers := numbersIn(c.Bytes)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, b.life)
	for _, n := range numbers {
		if b.delivered[n]++; b.delivered[n] > 1 {
			b.duplicates++
			before := b.last[n]
			life := b.requests[before]
			if b.again[life] == nil {
				b.again[life] = map[int]bool{}
			}
			b.again[life][before] = true
		}
		b.last[n] = len(b.requests) - 1
	}
}

// nextLife begins the next life. In one in which connections break, the answers to any
// requests may be lost.
func (b *counts) nextLife(hangsUp bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.life++
	b.hangUps[b.life] = hangsUp
}

// check compares what arrived again with what can have been in flight.
func (b *counts) check(t *testing.T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if *keys && b.duplicates > 0 {
		t.Errorf("%d records arrived again in requests with another key", b.duplicates)
	}
	for life, requests := range b.again {
		if len(requests) > consumers && !b.hangUps[life] {
			t.Errorf("life %d: %d requests arrived again, at most %d were in flight", life, len(requests), consumers)
		}
	}
}

// request is a request with n new records, of padding bytes or a little more each.
func (b *counts) request(n, padding int) (numbers []int64, body []byte) {
	scope := &logs.ScopeLogs{}
	for range n {
		number := b.next.Add(1)
		numbers = append(numbers, number)
		scope.LogRecords = append(scope.LogRecords, &logs.LogRecord{Body: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: number}},
			SeverityText: "INFO" + strings.Repeat("x", padding), TimeUnixNano: uint64(time.Now().UnixNano())})
	}
	body, err := proto.Marshal(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{scope}}}})
	if err != nil {
		panic(err)
	}
	return numbers, body
}

// send sends until ctx ends, through all kills.
func (b *counts) send(ctx context.Context, t *testing.T, address string, compression config.Compression, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	settings := config.DefaultGRPCClient()
	settings.Endpoint, settings.Compression = "http://"+address, compression
	client, err := otlpclient.NewGRPC(settings, 3*time.Second)
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	for ctx.Err() == nil {
		padding := 0
		if compression != config.NoCompression { // some are worth to be merged, some are not
			padding = r.IntN(2) * 1000
		}
		numbers, body := b.request(1+r.IntN(20), padding)
		if _, err := client.Send(ctx, otlpclient.Request{Signal: otlp.Logs, Bytes: body}); err != nil {
			time.Sleep(2 * time.Millisecond)
			continue
		}
		b.acknowledge(numbers)
	}
}

func (b *counts) acknowledge(numbers []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range numbers {
		b.acknowledged[n] = true
	}
}

// program is the binary under test.
type program struct {
	t            *testing.T
	path, config string
	arguments    []string
	address      string
	cmd          *exec.Cmd
	output       testkit.Log
}

// start starts the program and waits until it listens.
func (p *program) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.path, append(p.arguments, "--config", p.config)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.listens(p.address)
}

// listens waits until the program listens at an address.
func (p *program) listens(address string) {
	p.t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		if time.Since(begin) > 20*time.Second {
			p.t.Fatalf("the program does not listen: %.2000s", p.output.String())
		}
	}
}

// stop ends the program with a signal.
func (p *program) stop(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("the program ended by itself: %v: %.2000s", err, p.output.String())
	}
	_ = p.cmd.Wait() // a killed program has no success
}

// misbehave makes the backend fail in one way for one life of the program: three of four
// lives have one that works. If it hangs up, it breaks connections, on which other answers
// may be.
func misbehave(b *testkit.Backend, r *rand.Rand) (hangsUp bool) {
	answers := []testkit.Answer{
		{Code: codes.Unavailable}, {HangUp: true}, {Delay: 5 * time.Second, Code: codes.Unavailable}, {Code: codes.ResourceExhausted, RetryAfter: 50 * time.Millisecond},
	}
	if r.IntN(4) > 0 {
		b.Respond(nil)
		return false
	}
	bad, share := answers[r.IntN(len(answers))], 1+r.IntN(10)
	var calls atomic.Int64
	b.Respond(func(testkit.Call) testkit.Answer {
		if int(calls.Add(1))%10 < share {
			return bad
		}
		return testkit.Answer{}
	})
	return bad.HangUp
}

// build builds the program.
func build(t *testing.T) *program {
	t.Helper()
	if testing.Short() {
		t.Skip("with -short: it builds and runs the program")
	}
	dir := t.TempDir()
	p := &program{t: t, path: filepath.Join(dir, "penstock"), config: filepath.Join(dir, "penstock.yaml"), address: freeAddress(t)}
	command := exec.Command("go", "build", "-o", p.path, "github.com/penstock-telemetry/penstock/cmd/penstock")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if p.cmd != nil && p.cmd.ProcessState == nil { // the test has failed
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	return p
}

// configure writes the configuration.
func (p *program) configure(text string) {
	p.t.Helper()
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// newBackend starts a backend and the counts of what it takes.
func newBackend(t *testing.T) (*testkit.Backend, *counts) {
	t.Helper()
	b := &counts{acknowledged: map[int64]bool{}, delivered: map[int64]int{}, last: map[int64]int{}, again: map[int]map[int]bool{}, hangUps: map[int]bool{}, known: map[string]bool{}}
	return testkit.NewBackend(t, testkit.BackendConfig{Took: b.take}), b
}

func TestKills(t *testing.T) {
	killed(t, "compression: none", *kills, config.NoCompression)
}

// As TestKills, with requests in several compressions, of which some leave as they came,
// some merged as they came, and some compressed again.
func TestKillsOfCompressed(t *testing.T) {
	for _, exporter := range []string{"compression: gzip", "{compression: zstd, compressed_passthrough: any, compressed_merge: true}"} {
		t.Run(exporter, func(t *testing.T) {
			settings := strings.NewReplacer("{", "", "}", "", ", ", "\n    ").Replace(exporter)
			killed(t, settings, max(*kills/2, 1), config.Gzip, config.Zstd, config.Gzip, config.NoCompression)
		})
	}
}

// killed kills a program so often whose exporter has settings, while clients with
// compressions send.
func killed(t *testing.T, settings string, kills int, compressions ...config.Compression) {
	p := build(t)
	backend, b := newBackend(t)
	p.configure(fmt.Sprintf(configuration, p.address, backend.GRPCEndpoint(), filepath.Join(t.TempDir(), "storage"), *keys, settings))
	p.killed(b, backend, kills, func() {}, compressions...)
}

// killed kills the program so often while clients with compressions send. before is called
// before each kill.
func (p *program) killed(b *counts, backend *testkit.Backend, kills int, before func(), compressions ...config.Compression) {
	t := p.t
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	ctx, cancel := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for i := range *clients {
		senders.Go(func() { b.send(ctx, t, p.address, compressions[i%len(compressions)], uint64(i)) })
	}
	p.start()
	for i := range kills {
		time.Sleep(time.Duration(20+r.IntN(600)) * time.Millisecond)
		before()
		p.stop(syscall.SIGKILL)
		time.Sleep(50 * time.Millisecond) // the backend takes what has reached it
		b.nextLife(misbehave(backend, r))
		p.start()
		if (i+1)%50 == 0 {
			b.report(t, i+1)
		}
	}
	cancel()
	senders.Wait()
	backend.Respond(nil)
	b.settle(t)
	p.stop(syscall.SIGTERM)
	b.report(t, kills)
	b.check(t)
}

// settle waits until everything that was acknowledged has arrived.
func (b *counts) settle(t *testing.T) {
	t.Helper()
	missing := 0
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(50 * time.Millisecond) {
		if missing = b.missing(); missing == 0 {
			return
		}
	}
	t.Errorf("%d records were acknowledged and did not arrive", missing)
}

func (b *counts) missing() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for number := range b.acknowledged {
		if b.delivered[number] == 0 {
			n++
		}
	}
	return n
}

func (b *counts) report(t *testing.T, kills int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.Logf("%d kills: %d records acknowledged, %d arrived, %d of them again (%.1f for each kill); %d requests were recognised",
		kills, len(b.acknowledged), len(b.delivered), b.duplicates, float64(b.duplicates)/float64(max(kills, 1)), b.repeated)
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
