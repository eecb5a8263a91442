package kills

import (
	"flag"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var backlogBytes = flag.Int64("backlog", 300<<20, "bytes of requests that wait when the program is started")

// passing is a consumer that can use all compressed bytes.
type passing struct{ pipeline.Consumer }

func (passing) Capabilities() pipeline.Capabilities {
	return pipeline.Capabilities{Codecs: pipeline.AllCodecs()}
}

// fillQueue makes a queue that has bytes of requests for the exporter, which came in a
// codec.
func (r *rig) fillQueue(bytes int64, codec pipeline.Codec) {
	r.Helper()
	j, err := journal.Open(filepath.Join(control.Pipelines(r.storage()), control.FileName("logs")), journal.Options{MaxBytes: 2 * bytes})
	if err != nil {
		r.Fatal(err)
	}
	log := delivery.NewLog(j, record.Keep{})
	if _, err := log.Destination(delivery.DestinationConfig{Name: "logs/otlp", Signal: otlp.Logs, Next: passing{}, From: journal.Oldest}); err != nil {
		r.Fatal(err)
	}
	var left atomic.Int64
	left.Store(bytes)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			_, body := r.request(100, 1000)
			for left.Add(-int64(len(body))) > -int64(len(body)) {
				b := pipeline.NewUncheckedBatch(otlp.Logs, body, 100, nil)
				if codec != pipeline.CodecNone {
					testkit.Attach(b, codec)
				}
				if err := log.Consume(r.Context(), b); err != nil {
					r.Error(err)
					return
				}
				b.Release()
			}
		})
	}
	writers.Wait()
	r.Logf("%d bytes of requests in %d of files", bytes, j.Stats().Written)
	if err := j.Close(); err != nil {
		r.Fatal(err)
	}
}

// ready starts the program, and waits until a request is accepted.
func (r *rig) ready() {
	r.Helper()
	begin := time.Now()
	r.run()
	for err := r.try(r.Context(), r.clients[0]); err != nil; err = r.try(r.Context(), r.clients[0]) {
		if time.Since(begin) > 30*time.Second {
			r.Fatal(err)
		}
	}
	r.Logf("the first request was accepted %v after the program was started", time.Since(begin).Round(time.Millisecond))
}

// A large backlog costs neither memory nor time at the start, also while attempts to send
// fail and new requests come in, and after the program was killed.
//
//	go test ./internal/test/kills -run TestBacklog -backlog 10737418240 -v
func TestBacklog(t *testing.T) { backlog(t, pipeline.CodecNone) }

// What has to be decompressed to be sent costs no more memory than it is while it is sent.
func TestBacklogOfCompressed(t *testing.T) { backlog(t, pipeline.CodecGzip) }

func backlog(t *testing.T, codec pipeline.Codec) {
	r := newRig(t, t.TempDir(), 2**backlogBytes+1<<30)
	r.fillQueue(*backlogBytes, codec)
	for _, life := range []struct {
		name   string
		answer testkit.Answer
		end    syscall.Signal
	}{
		{"refuses", testkit.Answer{Code: codes.Unavailable}, syscall.SIGKILL},
		{"hangs", testkit.Answer{Code: codes.Unavailable, Delay: time.Minute}, syscall.SIGKILL},
		{"does not listen", testkit.Answer{}, syscall.SIGTERM},
	} {
		r.backend.Stop()
		if life.answer.Code != codes.OK {
			r.backend.Respond(func(testkit.Call) testkit.Answer { return life.answer })
			r.backend.Start(t)
		}
		t.Logf("the backend %s", life.name)
		r.ready()
		r.loadAll()
		r.memory()
		begin := time.Now()
		r.stop(life.end)
		t.Logf("ended %v after the signal (%v)", time.Since(begin).Round(time.Millisecond), life.end)
	}
}

// loadAll sends with all clients.
func (r *rig) loadAll() {
	var clients sync.WaitGroup
	for _, client := range r.clients {
		clients.Go(func() {
			for range 200 {
				if err := r.try(r.Context(), client); err != nil {
					r.Error(err)
				}
			}
		})
	}
	clients.Wait()
}
