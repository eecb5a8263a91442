package kills

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// maxMemory is what the program may have at most (VmHWM).
const maxMemory = 128 << 20

const rigConfiguration = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "%[1]s"}, http: {endpoint: "%[2]s"}}}
exporters:
  otlp:
    endpoint: "%[3]s"
    tls: {insecure: true}
    compression: none
    timeout: 2s
    retry_on_failure: {initial_interval: 20ms, max_interval: 200ms}
    sending_queue: {storage: file_storage}
extensions:
  file_storage: {directory: "%[4]s", max_size: %[5]d}
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}, logs: {level: info}}
  pipelines:
    logs: {receivers: [otlp], exporters: [otlp]}
`

// rig is a program with a queue, and its clients.
type rig struct {
	*testing.T
	*program
	*counts
	backend *testkit.Backend
	disk    string
	onHTTP  string // address
	reloads int    // so far
	clients []otlpclient.Sender
	refuses func(number int64) bool // the backend refuses requests with such a record for good
	dead    atomic.Int64            // requests with one that were acknowledged
}

// newRig makes a rig whose storage is in disk and bound to maxSize; 0: to the default.
func newRig(t *testing.T, disk string, maxSize int64) *rig {
	t.Helper()
	r := &rig{T: t, program: build(t), disk: disk, onHTTP: freeAddress(t), refuses: func(int64) bool { return false }}
	r.backend, r.counts = newBackend(t)
	r.configure(fmt.Sprintf(rigConfiguration, r.address, r.onHTTP, r.backend.GRPCEndpoint(), r.storage(), maxSize))
	return r
}

func (r *rig) storage() string { return filepath.Join(r.disk, "storage") }

// run starts the program, and clients that have not seen it before.
func (r *rig) run() {
	r.Helper()
	r.start()
	r.listens(r.onHTTP)
	r.clients = nil
	for range 3 {
		grpcSettings, httpSettings := config.DefaultGRPCClient(), config.DefaultHTTPClient()
		grpcSettings.Endpoint, httpSettings.Endpoint = "http://"+r.address, "http://"+r.onHTTP
		onGRPC, err := otlpclient.NewGRPC(grpcSettings, 5*time.Second)
		if err != nil {
			r.Fatal(err)
		}
		overHTTP, err := otlpclient.NewHTTP(httpSettings, nil)
		if err != nil {
			r.Fatal(err)
		}
		r.clients = append(r.clients, onGRPC, overHTTP)
		r.Cleanup(func() { onGRPC.Close(); overHTTP.Close() })
	}
}

// try sends a request of about 100 kB.
func (r *rig) try(ctx context.Context, client otlpclient.Sender) error {
	numbers, body := r.request(100, 1000)
	_, err := client.Send(ctx, otlpclient.Request{Signal: otlp.Logs, Bytes: body})
	switch {
	case err != nil:
	case slices.ContainsFunc(numbers, r.refuses):
		r.dead.Add(1)
	default:
		r.acknowledge(numbers)
	}
	return err
}

// deadLetters is how many the command finds.
func (r *rig) deadLetters() int64 {
	r.Helper()
	out, err := exec.Command(r.path, "dead-letter", "ls", r.storage(), "--json").Output()
	if err != nil {
		r.Fatalf("list the dead letters: %v", err)
	}
	return int64(bytes.Count(out, []byte(`"reason"`)))
}

// memory checks the peak of the program's memory.
func (r *rig) memory() {
	r.Helper()
	peak := r.peakMemory()
	r.Logf("the program's memory (VmHWM): %d MiB", peak>>20)
	if peak > maxMemory {
		r.Errorf("the program's memory (VmHWM) was %d MiB", peak>>20)
	}
}
