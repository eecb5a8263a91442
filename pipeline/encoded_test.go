package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// compressed stands for the compressed form of request().
const compressed = "compressed bytes"

// attached makes a batch that came in compressed, whose bytes and compressed bytes are on
// a ticket of budget.
func attached(t testing.TB, budget *admission.Budget) *Batch {
	t.Helper()
	buf := NewBuffer(len(request()))
	defer buf.Release()
	buf.Bytes = append(buf.Bytes, request()...)
	b, err := NewPooledBatch(otlp.Traces, buf, nil)
	if err != nil {
		t.Fatal(err)
	}
	attach(b)
	ticket, err := budget.Acquire(t.Context(), "a client", held+cap(b.Bytes())+cap(b.Encoded().Bytes))
	if err != nil {
		t.Fatal(err)
	}
	b.Hold(ticket)
	return b
}

func attach(b *Batch) {
	buf := NewBuffer(len(compressed))
	defer buf.Release()
	buf.Bytes = append(buf.Bytes, compressed...)
	b.AttachEncoded(buf, CodecGzip, true)
}

func newBudget() *admission.Budget { return admission.New(admission.Config{Bytes: 1 << 20}) }

func TestEncodedIsWhatWasAttached(t *testing.T) {
	budget := newBudget()
	b := attached(t, budget)
	e := b.Encoded()
	if e.Codec != CodecGzip || !e.Single || string(e.Bytes) != compressed {
		t.Errorf("got %v, single %v, %q", e.Codec, e.Single, e.Bytes)
	}
	used(t, budget, "with compressed bytes", held+cap(b.Bytes())+cap(e.Bytes))
	b.Release()
	used(t, budget, "released", 0)
}

// A buffer that is charged to the ticket of the batch keeps its charge.
func TestAttachedBufferKeepsItsCharge(t *testing.T) {
	budget := newBudget()
	b := admitted(t, budget)
	buf, err := b.NewBuffer(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	buf.Bytes = append(buf.Bytes, compressed...)
	b.AttachEncoded(buf, CodecZstd, false)
	buf.Release()
	if e := b.Encoded(); e.Codec != CodecZstd || e.Single || string(e.Bytes) != compressed {
		t.Errorf("got %v, single %v, %q", e.Codec, e.Single, e.Bytes)
	}
	used(t, budget, "attached", held+cap(b.Bytes())+cap(b.Encoded().Bytes))
	other := copyOf(t, b, 1000)
	b.Release() // its own bytes go back, compressed ones too; the ticket stays
	used(t, budget, "the request is released", held+cap(other.Bytes()))
	other.Release()
	used(t, budget, "all is released", 0)
}

func TestAttachEncodedRefusesMistakes(t *testing.T) {
	for name, mistake := range map[string]func(b *Batch){
		"no codec":     func(b *Batch) { b.AttachEncoded(NewBuffer(0), CodecNone, true) },
		"unknown":      func(b *Batch) { b.AttachEncoded(NewBuffer(0), numCodecs, true) },
		"a second one": func(b *Batch) { attach(b); attach(b) },
		"another ticket": func(b *Batch) {
			other := admitted(t, newBudget())
			defer other.Release()
			buf, _ := other.NewBuffer(t.Context(), 10)
			defer buf.Release()
			b.AttachEncoded(buf, CodecGzip, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestBatch(t)
			defer b.Release()
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			mistake(b)
		})
	}
}

func TestDerivedBatchHasNoEncodedBytes(t *testing.T) {
	b := attached(t, newBudget())
	defer b.Release()
	d := copyOf(t, b, 100)
	defer d.Release()
	if e := d.Encoded(); e.Codec != CodecNone || e.Bytes != nil {
		t.Errorf("the derived batch has %v, %q", e.Codec, e.Bytes)
	}
	if b.Encoded().Codec != CodecGzip {
		t.Error("the original has lost its compressed bytes")
	}
}

func TestWithClientKeepsCompressedForms(t *testing.T) {
	budget := newBudget()
	b := attached(t, budget)
	d := b.WithClient(nil)
	second := d.WithClient(nil)
	b.Release()
	d.Release()
	if e := second.Encoded(); e.Codec != CodecGzip || string(e.Bytes) != compressed {
		t.Errorf("got %v, %q", e.Codec, e.Bytes)
	}
	var c encoder
	for range 2 {
		c.encode(t, second)
	}
	if c.calls.Load() != 1 {
		t.Errorf("encoded %d times", c.calls.Load())
	}
	second.Release()
	used(t, budget, "released", 0)
}

// Bytes that are about to be written in place have no compressed form any more, neither
// that which they came in nor one that was made of them.
func TestEditDropsCompressedForms(t *testing.T) {
	budget := newBudget()
	b := attached(t, budget)
	var c encoder
	c.encode(t, b)
	if _, err := b.Edit(); err != nil {
		t.Fatal(err)
	}
	if e := b.Encoded(); e.Codec != CodecNone || e.Bytes != nil {
		t.Errorf("still has %v, %q", e.Codec, e.Bytes)
	}
	used(t, budget, "edited", held+cap(b.Bytes()))
	c.encode(t, b)
	if c.calls.Load() != 2 {
		t.Error("the form of the bytes before the edit is used after it")
	}
	d := copyOf(t, b, 100)
	b.Release()
	used(t, budget, "all but a derived batch are released", held+cap(d.Bytes()))
	d.Release()
}

// A refused Edit changes nothing.
func TestRefusedEditKeepsCompressedForms(t *testing.T) {
	b := attached(t, newBudget())
	defer b.Release()
	b.MarkShared()
	if _, err := b.Edit(); !errors.Is(err, ErrShared) {
		t.Fatal(err)
	}
	if b.Encoded().Codec != CodecGzip {
		t.Error("the compressed bytes are gone")
	}
}

// encoder stands for a compressor.
type encoder struct {
	calls atomic.Int64
	wait  chan struct{} // nil: none
	err   error
}

var testKey = EncodeKey{Codec: CodecZstd, Level: 3}

func (c *encoder) write(ctx context.Context, buf *Buffer) error {
	c.calls.Add(1)
	if c.wait != nil {
		<-c.wait
	}
	if err := buf.Grow(ctx, 1000); err != nil {
		return err
	}
	buf.Bytes = append(buf.Bytes, "encoded"...)
	return c.err
}

func (c *encoder) encode(t testing.TB, b *Batch) {
	t.Helper()
	got, err := b.EncodeOnce(t.Context(), testKey, c.write)
	if err != nil || string(got) != "encoded" {
		t.Fatalf("got %q, error %v", got, err)
	}
}

func TestEncodeOnceForEachKey(t *testing.T) {
	budget := newBudget()
	b := admitted(t, budget)
	before := int(budget.Stats().Used)
	var c encoder
	for range 3 {
		c.encode(t, b)
	}
	used(t, budget, "encoded", before+bufpool.Class(len("encoded"))) // not the room for 1000 bytes
	other := testKey
	other.Level++
	if _, err := b.EncodeOnce(t.Context(), other, c.write); err != nil {
		t.Fatal(err)
	}
	if c.calls.Load() != 2 {
		t.Errorf("encoded %d times for two keys", c.calls.Load())
	}
	b.Release()
	used(t, budget, "released", 0)
}

// What was encoded moves to smaller memory if there is room for both. If there is not, that
// is neither waited for, nor does a request count as refused.
func TestEncodeOnceWaitsForNoSmallerMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := admission.New(admission.Config{Bytes: 1 << 20, MaxWait: time.Hour})
		b := attached(t, budget)
		var others *admission.Ticket
		defer func() { others.Release() }()
		began := time.Now()
		got, err := b.EncodeOnce(t.Context(), testKey, func(ctx context.Context, buf *Buffer) error {
			if err := buf.Grow(ctx, 64<<10); err != nil {
				return err
			}
			buf.Bytes = append(buf.Bytes, "encoded"...)
			s := budget.Stats()
			var err error
			others, err = budget.Acquire(ctx, "another client", int(s.Limit-s.Used))
			return err
		})
		if err != nil || string(got) != "encoded" {
			t.Errorf("got %q, error %v", got, err)
		}
		if s := budget.Stats(); time.Since(began) > 0 || s.Refused() > 0 {
			t.Errorf("it waited %s, and %d requests were refused", time.Since(began), s.Refused())
		}
		b.Release()
	})
}

// Senders at the same time wait for the one that encodes, and one that gives up does not.
func TestEncodeOnceAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBatch(t)
		defer b.Release()
		c := encoder{wait: make(chan struct{})}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { c.encode(t, b) })
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.EncodeOnce(ctx, testKey, c.write); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that gives up gets %v", err)
		}
		close(c.wait)
		wg.Wait()
		if c.calls.Load() != 1 {
			t.Errorf("encoded %d times", c.calls.Load())
		}
	})
}

// A failed attempt is its caller's; one that waited for it encodes.
func TestEncodeOnceAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := newBudget()
		b := admitted(t, budget)
		before := int(budget.Stats().Used)
		broken := encoder{wait: make(chan struct{}), err: errors.New("broken")}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := b.EncodeOnce(t.Context(), testKey, broken.write); !errors.Is(err, broken.err) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		var c encoder
		wg.Go(func() { c.encode(t, b) })
		synctest.Wait()
		close(broken.wait)
		wg.Wait()
		if c.calls.Load() != 1 {
			t.Errorf("encoded %d times", c.calls.Load())
		}
		used(t, budget, "after both", before+bufpool.Class(len("encoded")))
		b.Release()
		used(t, budget, "released", 0)
	})
}

func TestEncodeOnceAfterAPanic(t *testing.T) {
	b := newTestBatch(t)
	defer b.Release()
	func() {
		defer func() { _ = recover() }()
		_, _ = b.EncodeOnce(t.Context(), testKey, func(context.Context, *Buffer) error { panic("broken") })
	}()
	var c encoder
	c.encode(t, b)
}

func TestEncodeOnceIsRefusedWithoutRoom(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 8 << 10})
	b := admitted(t, budget)
	defer b.Release()
	before := int(budget.Stats().Used)
	_, err := b.EncodeOnce(t.Context(), testKey, func(ctx context.Context, buf *Buffer) error { return buf.Grow(ctx, 1<<20) })
	if e := Classify(err); e == nil || e.Kind != Permanent {
		t.Errorf("got %v", err)
	}
	used(t, budget, "refused", before)
}

// What consumers can use is asked of them each time: a switch may have turned.
func TestCapabilitiesHaveTheCodecsOfAllConsumers(t *testing.T) {
	gzip := codecs{Codecs: CodecsOf(CodecGzip)}
	zstd := codecs{Codecs: CodecsOf(CodecZstd), Members: CodecsOf(CodecZstd)}
	none := codecs{}
	turning := NewSwitch(none)
	for name, c := range map[string]Consumer{
		"fan-out":    Fanout(none, gzip, turning),
		"concurrent": Concurrent(none, gzip, turning),
		"chain":      Chain(Fanout(gzip, turning), Step{Processor: NewEdits(otlpedit.Plan{})}),
	} {
		turning.Turn(none)
		if got := c.Capabilities(); got.Codecs != CodecsOf(CodecGzip) || got.Members != 0 {
			t.Errorf("%s: %b, members %b", name, got.Codecs, got.Members)
		}
		turning.Turn(zstd)
		if got := c.Capabilities(); got.Codecs != CodecsOf(CodecGzip, CodecZstd) || got.Members != CodecsOf(CodecZstd) {
			t.Errorf("%s: %b, members %b after the switch was turned", name, got.Codecs, got.Members)
		}
	}
}

type codecs Capabilities

func (c codecs) Capabilities() Capabilities          { return Capabilities(c) }
func (codecs) Consume(context.Context, *Batch) error { return nil }

func TestCodecNames(t *testing.T) {
	for c := CodecNone; c < numCodecs; c++ {
		if got := CodecNamed(c.String()); got != c {
			t.Errorf("CodecNamed(%q) = %v", c, got)
		}
		if has := AllCodecs().Has(c); has != (c != CodecNone) {
			t.Errorf("%v in AllCodecs: %v", c, has)
		}
	}
	if got := CodecNamed("deflate"); got != CodecNone {
		t.Errorf("deflate is %v, although it names several formats", got)
	}
	if got := numCodecs.String(); got != fmt.Sprintf("codec %d", numCodecs) || AllCodecs().Has(numCodecs) {
		t.Errorf("an unknown codec is %q", got)
	}
}

// The numbers are stored in records: they never change.
func TestCodecNumbers(t *testing.T) {
	want := []Codec{CodecNone, CodecGzip, CodecZstd, CodecZlib, CodecSnappyBlock, CodecSnappyFramed, CodecLZ4}
	for i, c := range want {
		if int(c) != i {
			t.Errorf("%v is %d, expected %d", c, c, i)
		}
	}
	if int(numCodecs) != len(want) {
		t.Errorf("%d codecs, expected %d", numCodecs, len(want))
	}
}

func BenchmarkEncodeOnce(b *testing.B) {
	batch := newTestBatch(b)
	defer batch.Release()
	body := bytes.Repeat([]byte("x"), 100)
	write := func(ctx context.Context, buf *Buffer) error {
		err := buf.Grow(ctx, len(body))
		buf.Bytes = append(buf.Bytes, body...)
		return err
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := batch.EncodeOnce(b.Context(), testKey, write); err != nil {
			b.Fatal(err)
		}
	}
}
