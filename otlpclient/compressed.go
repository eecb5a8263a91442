package otlpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"weak"

	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/compress"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// maxFrameBytes is the most that gRPC takes from its pool for data that it reads.
const maxFrameBytes = 16 << 10

// errPool means that gRPC works in another way than compressed needs.
var errPool = errors.New("gRPC did not take the compressed request from its pool")

// compressed sends compressed requests over one gRPC client.
//
// gRPC would compress a message into memory of its own pool, which is charged to no
// request, and which a stuck connection keeps without anybody knowing. So requests are
// compressed before they are given to gRPC, into memory that is charged to the request.
// gRPC then asks its compressor (Do) for the message. What is written to Do's writer is
// copied into a buffer from the pool of the client (Get), and this buffer is the request's
// own memory, which has the same contents already:
//
//	Marshal ─► announce ─► Do ─► w.Write(bytes) ─► Get returns the same bytes ─► … sent ─► Put ─► lease.end
//
// The number of bytes that are written tells this Get from those of gRPC's readers, and
// Do runs once at a time.
type compressed struct {
	z     *compress.GRPCCompressor
	codec pipeline.Codec

	handing sync.Mutex              // held by Do
	padded  [maxFrameBytes + 1]byte // used by Do

	mu        sync.Mutex
	announced map[*byte]*outgoing             // by their first byte
	handed    *outgoing                       // what Do hands over; nil: nothing, or Get had it
	writing   int                             // how many bytes Do writes for it
	inGRPC    map[weak.Pointer[[]byte]]*lease // what gRPC has, without keeping it alive
}

// newCompressed returns what compresses with an encoding, and the options of the client.
// A call option could only name an encoding that is in gRPC's registry, which is the
// whole process's. Servers answer in the encoding of the request, so the client reads it
// too.
func newCompressed(encoding string) (*compressed, []grpc.DialOption, error) {
	if encoding == "" {
		return nil, nil, nil
	}
	compressor, decompressor, err := compress.GRPC(encoding, maxResponseBytes)
	if err != nil {
		return nil, nil, err
	}
	f := &compressed{z: compressor, codec: grpcCodec(config.Compression(encoding)), announced: map[*byte]*outgoing{}, inGRPC: map[weak.Pointer[[]byte]]*lease{}}
	return f, []grpc.DialOption{
		experimental.WithBufferPool(f),
		//lint:ignore SA1019 the only way that does not write to gRPC's registry; supported throughout gRPC 1.x
		grpc.WithCompressor(f),
		//lint:ignore SA1019 as above
		grpc.WithDecompressor(decompressor),
	}, nil
}

// request returns a compressed request. encoded are the compressed bytes that it came in,
// nil if it is to be compressed here.
func (f *compressed) request(ctx context.Context, r Request, encoded []byte) (*outgoing, error) {
	if int64(max(len(r.Bytes), len(encoded))) > math.MaxInt32 {
		return nil, fmt.Errorf("%d bytes are more than gRPC sends in a message", max(len(r.Bytes), len(encoded)))
	}
	to := memory{ctx: ctx, batch: r.Batch}
	b, err := f.compress(ctx, &r, encoded, &to)
	if err != nil {
		to.release()
		return nil, err
	}
	to.buf.Bytes = b
	o := &outgoing{bytes: b, plain: len(r.Bytes), frames: f}
	key := weak.Make(&o.bytes)
	o.key = key
	o.lease = &lease{done: func() {
		f.ended(key)
		to.release()
		if r.Done != nil {
			r.Done()
		}
	}}
	return o, nil
}

// compress returns the compressed message in memory of its own: what belongs to a batch may
// be sent more than once at the same time, and each message needs other memory.
func (f *compressed) compress(ctx context.Context, r *Request, encoded []byte, to *memory) (_ []byte, err error) {
	if encoded == nil && !r.sendsBatch() {
		return f.z.CompressTo(ctx, r.Bytes, to.grow)
	}
	if encoded == nil {
		s := f.z.Settings()
		key := pipeline.EncodeKey{Codec: f.codec, Level: s.Level, WindowBytes: s.WindowBytes}
		if encoded, err = r.compressOnce(ctx, key, f.z); err != nil {
			return nil, err
		}
	}
	b, err := to.grow(nil, len(encoded))
	if err != nil {
		return nil, err
	}
	return append(b, encoded...), nil
}

// announcement is a message that is compressed already. Its length is that of the plain
// request, which is what gRPC reports to a stats handler.
type announcement struct {
	mem.SliceBuffer
	plain int
}

// Len implements mem.Buffer.
func (a announcement) Len() int { return a.plain }

// announce returns what gRPC takes for the request and passes to Do.
func (f *compressed) announce(o *outgoing) mem.BufferSlice {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.announced[&o.bytes[0]] = o
	return mem.BufferSlice{announcement{o.bytes, o.plain}}
}

// Type implements grpc.Compressor.
func (f *compressed) Type() string { return f.z.Type() }

// Do implements grpc.Compressor. b is what announce returned, w appends to the message.
func (f *compressed) Do(w io.Writer, b []byte) error {
	f.handing.Lock()
	defer f.handing.Unlock()
	if len(b) == 0 {
		return errPool
	}
	src := b
	if len(b) <= maxFrameBytes {
		copy(f.padded[:], b)
		src = f.padded[:]
	}
	f.mu.Lock()
	f.handed, f.writing = f.announced[&b[0]], len(src)
	delete(f.announced, &b[0])
	f.mu.Unlock()
	_, err := w.Write(src)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handed != nil && err == nil {
		err = errPool
	}
	f.handed = nil
	return err
}

// Get implements mem.BufferPool.
func (f *compressed) Get(n int) *[]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.handed; o != nil && n == f.writing {
		f.handed = nil
		f.inGRPC[o.key] = o.lease
		return &o.bytes
	}
	return bufpool.Get(n)
}

// afterEnd takes the place of a lease that ended while gRPC had the bytes.
var afterEnd = func() *lease {
	l := &lease{}
	l.ended.Store(true)
	return l
}()

// ended notes that a lease has ended before gRPC has returned the bytes, if it has them:
// its connection ended. gRPC may return them later, and they must not get into the pool a
// second time. If it does not return them, they are forgotten with the request.
func (f *compressed) ended(key weak.Pointer[[]byte]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inGRPC[key] == nil {
		return
	}
	b := key.Value()
	if b == nil {
		delete(f.inGRPC, key)
		return
	}
	f.inGRPC[key] = afterEnd
	runtime.AddCleanup(b, f.forget, key)
}

func (f *compressed) forget(key weak.Pointer[[]byte]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.inGRPC, key)
}

// Put implements mem.BufferPool.
func (f *compressed) Put(b *[]byte) {
	key := weak.Make(b)
	f.mu.Lock()
	l := f.inGRPC[key]
	delete(f.inGRPC, key)
	f.mu.Unlock()
	if l != nil {
		l.end()
		return
	}
	bufpool.Put(b)
}
