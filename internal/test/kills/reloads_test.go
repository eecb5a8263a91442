package kills

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/config"
)

// reloadable has a pipeline whose queue, exporters and storage change with its arguments:
// the address, the backend, the folder, settings of the queue, and exporters.
const reloadable = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "%[1]s"}}}
exporters:
  otlp:
    endpoint: "%[2]s"
    tls: {insecure: true}
    compression: none
    timeout: 2s
    retry_on_failure: {initial_interval: 20ms, max_interval: 200ms}
    sending_queue: {num_consumers: 4%[4]s}
  otlp/more: {endpoint: "127.0.0.1:1", tls: {insecure: true}}
extensions:
  file_storage: {directory: "%[3]s"}
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}, logs: {level: error}}
  pipelines:
    %[5]s: {receivers: [otlp], exporters: [%[6]s]}
`

// The program is killed in the middle of reloads that close a queue for the next one, set
// it aside, move it to another storage, and give its pipeline another name. What was
// acknowledged arrives.
func TestKilledReloads(t *testing.T) {
	p := build(t)
	backend, b := newBackend(t)
	dir := t.TempDir()
	p.arguments = []string{"--data-dir", filepath.Join(dir, "data")}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	change := func() {
		p.configure(fmt.Sprintf(reloadable, p.address, backend.GRPCEndpoint(), filepath.Join(dir, "storage"),
			pick("", ", queue_size: 100000", ", storage: file_storage"), pick("logs", "logs/again"), pick("otlp", "otlp, otlp/more")))
	}
	change()
	p.killed(b, backend, *kills, func() {
		for range 1 + r.IntN(3) {
			change()
			if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(r.IntN(60_000)) * time.Microsecond)
		}
	}, config.NoCompression, config.Gzip)
}
