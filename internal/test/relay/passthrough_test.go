package relay

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var (
	matching = config.Passthrough{Mode: config.PassMatching}
	anyCodec = config.Passthrough{Mode: config.PassAny}
	off      = config.Passthrough{Mode: config.PassOff}
	merging  = config.Passthrough{Mode: config.PassMatching, Merge: true}
)

// each calls f for each pair of transports and each form that both have, with a message.
func each(t *testing.T, rounds int, f func(t *testing.T, rng *rand.Rand, in, out string, z form)) {
	for name, z := range forms {
		for _, in := range []string{"grpc", "http"} {
			for _, out := range []string{"grpc", "http"} {
				if z.encoding[in] == "" || z.encoding[out] == "" {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s to %s", name, in, out), func(t *testing.T) {
					rng := rand.New(rand.NewPCG(1, uint64(len(name))))
					for range rounds {
						f(t, rng, in, out, z)
					}
				})
			}
		}
	}
}

// same fails the test unless the destination got the message as it was sent.
func same(t *testing.T, sent, got message, encoding string) {
	t.Helper()
	if got.encoding != encoding || !bytes.Equal(got.body, sent.body) {
		t.Errorf("got %q, %d bytes; sent %q, %d bytes, and expected the same", got.encoding, len(got.body), sent.encoding, len(sent.body))
	}
}

// recompressed fails the test unless the destination got the request in another compressed
// form.
func recompressed(t *testing.T, sent, got message, encoding string) {
	t.Helper()
	if got.encoding != encoding || bytes.Equal(got.body, sent.body) {
		t.Errorf("got %q, expected %q; as it came: %v", got.encoding, encoding, bytes.Equal(got.body, sent.body))
	}
	if !bytes.Equal(got.plain(t), sent.plain(t)) {
		t.Error("the destination got another request than was sent")
	}
}

func TestMatchingBytesLeaveAsTheyCame(t *testing.T) {
	r := newRelay(t)
	each(t, 5, func(t *testing.T, rng *rand.Rand, in, out string, z form) {
		to := newDestination(t, z.encoding[out])
		s, request := randomRequest(rng)
		sent := message{z.encoding[in], z.encode(t, request)}
		got := r.relayed(in, s, sent, to, r.exporter(to, out, z.encoding[out], matching))
		if len(sent.body) >= len(request) { // what compression does not make shorter is not kept
			if !bytes.Equal(got.plain(t), request) {
				t.Error("the destination got another request than was sent")
			}
			return
		}
		same(t, sent, got, z.encoding[out])
	})
}

// zlib is one format with two names.
func TestZlibHasTheNameOfTheSettings(t *testing.T) {
	r := newRelay(t)
	to := newDestination(t, "")
	s, request := randomRequest(rand.New(rand.NewPCG(3, 3)))
	for _, name := range []string{"zlib", "deflate"} {
		sent := message{"deflate", forms["zlib"].encode(t, request)}
		same(t, sent, r.relayed("http", s, sent, to, r.exporter(to, "http", name, matching)), name)
	}
}

func TestOtherCodecsAreRecompressed(t *testing.T) {
	r := newRelay(t)
	each(t, 1, func(t *testing.T, rng *rand.Rand, in, out string, z form) {
		other := "gzip"
		if z.codec == pipeline.CodecGzip {
			other = "zstd"
		}
		to := newDestination(t, other)
		s, request := randomRequest(rng)
		sent := message{z.encoding[in], z.encode(t, request)}
		recompressed(t, sent, r.relayed(in, s, sent, to, r.exporter(to, out, other, matching)), other)
		plain := r.relayed(in, s, sent, to, r.exporter(to, out, "none", matching))
		same(t, message{"", request}, plain, "")
	})
}

func TestAnyCodecLeavesAsItCame(t *testing.T) {
	r := newRelay(t)
	each(t, 2, func(t *testing.T, rng *rand.Rand, in, out string, z form) {
		to := newDestination(t, z.encoding[out])
		s, request := randomRequest(rng)
		sent := message{z.encoding[in], z.encode(t, request)}
		if len(sent.body) >= len(request) {
			return
		}
		for _, compression := range []string{"none", z.encoding[out], "gzip"} {
			same(t, sent, r.relayed(in, s, sent, to, r.exporter(to, out, compression, anyCodec)), z.encoding[out])
		}
		// What was not compressed is.
		got := r.relayed(in, s, message{"", request}, to, r.exporter(to, out, z.encoding[out], anyCodec))
		recompressed(t, message{"", request}, got, z.encoding[out])
	})
}

func TestPassthroughOff(t *testing.T) {
	r := newRelay(t)
	each(t, 1, func(t *testing.T, rng *rand.Rand, in, out string, z form) {
		if z.codec == pipeline.CodecSnappyBlock || z.codec == pipeline.CodecSnappyFramed {
			return // another encoder may write the same
		}
		to := newDestination(t, z.encoding[out])
		s, request := randomRequest(rng)
		sent := message{z.encoding[in], z.encode(t, request)}
		recompressed(t, sent, r.relayed(in, s, sent, to, r.exporter(to, out, z.encoding[out], off)), z.encoding[out])
	})
}

// Several members or frames are only sent to a destination that is said to read them.
func TestSeveralMembers(t *testing.T) {
	r := newRelay(t)
	each(t, 2, func(t *testing.T, rng *rand.Rand, in, out string, z form) {
		if !z.codec.CanJoin() {
			return
		}
		to := newDestination(t, z.encoding[out])
		s, request := randomRequest(rng)
		cut := rng.IntN(len(request))
		sent := message{z.encoding[in], append(z.encode(t, request[:cut]), z.encode(t, request[cut:])...)}
		if len(sent.body) >= len(request) {
			return
		}
		recompressed(t, sent, r.relayed(in, s, sent, to, r.exporter(to, out, z.encoding[out], matching)), z.encoding[out])
		reads := r.exporter(to, out, z.encoding[out], merging)
		same(t, sent, r.relayed(in, s, sent, to, reads), z.encoding[out])
		// Of two exporters one may send them as they came.
		one := newDestination(t, z.encoding[out])
		same(t, sent, r.relayed(in, s, sent, to, pipeline.Fanout(reads, r.exporter(one, out, z.encoding[out], matching))), z.encoding[out])
		recompressed(t, sent, one.take()[0], z.encoding[out])
	})
}

// The encoding snappy of HTTP is a block, or a framed stream, which gRPC has.
func TestSnappyIsTwoFormats(t *testing.T) {
	r := newRelay(t)
	s, request := randomRequest(rand.New(rand.NewPCG(2, 2)))
	to := newDestination(t, "snappy")
	block := message{"snappy", forms["snappy block"].encode(t, request)}
	stream := message{"snappy", framed(t, request)}
	grpc, web := r.exporter(to, "grpc", "snappy", matching), r.exporter(to, "http", "snappy", matching)
	recompressed(t, block, r.relayed("http", s, block, to, grpc), "snappy")
	same(t, stream, r.relayed("http", s, stream, to, grpc), "snappy")
	same(t, block, r.relayed("http", s, block, to, web), "snappy")
	recompressed(t, stream, r.relayed("http", s, stream, to, web), "snappy")
	same(t, stream, r.relayed("http", s, stream, to, r.exporter(to, "http", "none", anyCodec)), "x-snappy-framed")
}

// inPlace is a processor that changes batches in their own memory.
type inPlace struct{ old, new string }

func (inPlace) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{MutatesData: true} }
func (p inPlace) Process(_ context.Context, b *pipeline.Batch) (*pipeline.Batch, error) {
	data, err := b.Edit()
	if err == nil {
		copy(data[bytes.Index(data, []byte(p.old)):], p.new)
	}
	return b, err
}

// derived is a processor that writes new batches.
type derived struct{ old, new string }

func (p derived) Process(ctx context.Context, b *pipeline.Batch) (*pipeline.Batch, error) {
	buf, err := b.NewBuffer(ctx, len(b.Bytes()))
	if err != nil {
		return nil, err
	}
	defer buf.Release()
	buf.Bytes = append(buf.Bytes, bytes.Replace(b.Bytes(), []byte(p.old), []byte(p.new), 1)...)
	return b.Derive(buf, b.Items()), nil
}

// namedRequest is a request with a string that processors replace.
func namedRequest(t *testing.T) []byte {
	t.Helper()
	var e otlp.Encoder
	req := otlp.AppendExportLogsServiceRequest(&e)
	rl := req.AddResourceLogs()
	sl := rl.AddScopeLogs()
	for range 50 {
		l := sl.AddLogRecords()
		l.SetSeverityText("original")
		l.Close()
	}
	sl.Close()
	rl.Close()
	req.Close()
	return e.Buf
}

func TestChangedBatchesAreCompressed(t *testing.T) {
	r := newRelay(t)
	request := namedRequest(t)
	changed := bytes.Replace(request, []byte("original"), []byte("replaced"), 1)
	for name, p := range map[string]pipeline.Processor{"in place": inPlace{"original", "replaced"}, "derived": derived{"original", "replaced"}} {
		for _, transport := range []string{"grpc", "http"} {
			for _, encoding := range []string{"gzip", "zstd"} {
				t.Run(name+" "+transport+" "+encoding, func(t *testing.T) {
					to := newDestination(t, encoding)
					sent := message{encoding, forms[encoding].encode(t, request)}
					next := pipeline.Chain(r.exporter(to, transport, encoding, matching), pipeline.Step{Name: "p", Processor: p})
					got := r.relayed(transport, otlp.Logs, sent, to, next)
					if got.encoding != encoding || !bytes.Equal(got.plain(t), changed) {
						t.Error("the destination did not get the changed request")
					}
				})
			}
		}
	}
}

// Requests that the receiver converts or repairs are not what came.
func TestConvertedRequestsAreCompressed(t *testing.T) {
	r := newRelay(t)
	to := newDestination(t, "gzip")
	next := r.exporter(to, "http", "gzip", anyCodec)
	r.to.Turn(next)
	json := []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"` + string(bytes.Repeat([]byte("text "), 100)) + `"}}]}]}]}`)
	noError(t, r.post(otlp.Logs, message{"gzip", gzipped(t, json)}, "application/json"))
	got := to.take()
	if _, err := otlp.Check(otlp.Logs, got[0].plain(t)); err != nil || len(got) != 1 {
		t.Errorf("%d requests, %v", len(got), err)
	}
	broken := bytes.Replace(namedRequest(t), []byte("original"), []byte("orig\xffnal"), 1)
	repaired := r.relayed("http", otlp.Logs, message{"gzip", gzipped(t, broken)}, to, next)
	if otlp.FirstInvalidUTF8(otlp.Logs, repaired.plain(t)) != nil {
		t.Error("the destination got text that is not UTF-8")
	}
}

// An exporter that writes JSON compresses it, whatever came.
func TestJSONIsCompressed(t *testing.T) {
	r := newRelay(t)
	to := newDestination(t, "")
	sent := message{"gzip", gzipped(t, namedRequest(t))}
	got := r.relayed("http", otlp.Logs, sent, to, r.exporter(to, "http", "json", anyCodec))
	if text := got.plain(t); got.encoding != "gzip" || !bytes.HasPrefix(text, []byte("{")) {
		t.Errorf("got %q, %.20q", got.encoding, text)
	}
}

// Branches of a fan-out each get the request in their compression.
func TestFanOut(t *testing.T) {
	r := newRelay(t)
	for _, fanout := range []func(...pipeline.Consumer) pipeline.Consumer{pipeline.Fanout, pipeline.Concurrent} {
		a, b, c := newDestination(t, "gzip"), newDestination(t, "zstd"), newDestination(t, "gzip")
		next := fanout(r.exporter(a, "grpc", "gzip", matching), r.exporter(b, "grpc", "zstd", matching),
			r.exporter(c, "http", "gzip", matching), r.exporter(c, "http", "none", matching))
		request := namedRequest(t)
		sent := message{"gzip", gzipped(t, request)}
		same(t, sent, r.relayed("grpc", otlp.Logs, sent, a, next), "gzip")
		recompressed(t, sent, b.take()[0], "zstd")
		got := c.take()
		slices.SortFunc(got, func(a, b message) int { return len(b.encoding) - len(a.encoding) })
		same(t, sent, got[0], "gzip")
		same(t, message{"", request}, got[1], "")
	}
}

// Many requests at the same time, the compressed bytes of each sent by several exporters.
func TestAtTheSameTime(t *testing.T) {
	r := newRelay(t)
	var all []*destination
	var next []pipeline.Consumer
	for _, transport := range []string{"grpc", "http", "grpc", "http"} {
		d := newDestination(t, "gzip")
		all, next = append(all, d), append(next, r.exporter(d, transport, "gzip", matching))
	}
	r.to.Turn(pipeline.Concurrent(next...))
	want := map[string]int{}
	var wg sync.WaitGroup
	for i := range 24 {
		rng := rand.New(rand.NewPCG(9, uint64(i)))
		s, request := randomRequest(rng)
		for i%3 == 0 && len(request) < 300<<10 { // too large for what exporters copy
			request = append(request, request...)
		}
		want[string(request)]++
		sent := message{"gzip", gzipped(t, request)}
		if i%2 == 0 {
			sent = message{"", request}
		}
		wg.Go(func() {
			if err := r.send([]string{"grpc", "http"}[i/2%2], s, sent); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, d := range all {
		got := map[string]int{}
		for _, m := range d.take() {
			got[string(m.plain(t))]++
		}
		for request, n := range want {
			if got[request] != n {
				t.Errorf("destination %d: a request of %d bytes came %d times, want %d", i, len(request), got[request], n)
			}
		}
	}
}
