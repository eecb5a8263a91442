package grpcserver

import (
	"encoding/binary"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// watch reads a stream and ends it if its message comes too slowly.
type watch struct {
	stream  messageStream
	pace    *frontend.Pace
	request *frontend.Request

	began time.Time
	timer *time.Timer
	asked int // bytes

	mu      sync.Mutex
	stopped bool
}

func (w *watch) start() {
	w.began = time.Now()
	w.timer = time.AfterFunc(w.pace.GracePeriod, w.tooSlow)
}

func (w *watch) tooSlow() { w.end(status.New(codes.Unavailable, w.pace.SlowBody())) }

// fill reads len(p) bytes, in the time that they and those before may take.
func (w *watch) fill(p []byte) error {
	if w.asked += len(p); w.asked >= w.pace.MinRateBytes {
		w.timer.Reset(time.Until(w.pace.BodyDeadline(w.began, w.asked)))
	}
	err := w.stream.ReadMessageHeader(p)
	if err == nil {
		w.request.Arrived(len(p))
	}
	return err
}

// Interrupt implements admission.Source.
func (w *watch) Interrupt(o *admission.Overload) {
	w.end(status.FromProto(frontend.RefuseOverload(o).Status()))
}

// end writes the status. A waiting read then returns an error that the stream
// was cancelled, but the client gets this status.
func (w *watch) end(st *status.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		_ = w.stream.WriteStatus(st) // it may have gone
	}
}

func (w *watch) stop() {
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
}

// discard reads what a client has already sent of a request that is refused
// unread, for a moment, and then ends the stream with st: some clients take an
// answer that comes before they have sent all, and the reset of the stream behind
// it, for a fault of the server.
func discard(stream messageStream, p *frontend.Pace, st *status.Status) {
	w := &watch{stream: stream, pace: p}
	w.timer = time.AfterFunc(p.Unread, func() { w.end(st) })
	defer w.stop()
	var scrap [512]byte
	if stream.ReadMessageHeader(scrap[:5]) != nil {
		return
	}
	if n := binary.BigEndian.Uint32(scrap[1:]); n > frontend.ReadAheadBytes {
		return // it cannot come whole without being asked for
	}
	for read := 0; read < frontend.ReadAheadBytes; read += len(scrap) {
		if stream.ReadMessageHeader(scrap[:]) != nil {
			return
		}
	}
}
