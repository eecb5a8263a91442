package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

// fake is a consumer that records what it saw. It is not a testkit.Sink, which
// imports this package and does not note where the bytes were.
type fake struct {
	name    string
	mutates bool
	do      func(b *Batch) error

	mu     sync.Mutex
	seen   [][]byte // copies
	addrs  []*byte  // where the bytes were
	shared []bool
}

func (f *fake) Name() string               { return f.name }
func (f *fake) Capabilities() Capabilities { return Capabilities{MutatesData: f.mutates} }
func (f *fake) Consume(_ context.Context, b *Batch) error {
	f.mu.Lock()
	f.seen = append(f.seen, bytes.Clone(b.Bytes()))
	f.addrs = append(f.addrs, &b.Bytes()[0])
	f.shared = append(f.shared, b.Shared())
	f.mu.Unlock()
	if f.do != nil {
		return f.do(b)
	}
	return nil
}

// nop returns a consumer that accepts everything.
func nop() Consumer { return ConsumerFunc(func(context.Context, *Batch) error { return nil }) }

// scribble overwrites the batch in place if it may; else it does what a
// processor does: it writes new bytes.
func scribble(b *Batch) error {
	p, err := b.Edit()
	if err == nil {
		p[len(p)-1] ^= 0xff
		return nil
	}
	buf := NewBuffer(len(b.Bytes()))
	defer buf.Release()
	buf.Bytes = append(buf.Bytes, b.Bytes()...)
	buf.Bytes[len(buf.Bytes)-1] ^= 0xff
	d := b.Derive(buf, b.Items())
	defer d.Release()
	return nil
}

// request is one resource with a schema URL: its last byte is text.
func request() []byte {
	var e otlp.Encoder
	r := otlp.AppendExportTraceServiceRequest(&e)
	rs := r.AddResourceSpans()
	rs.SetSchemaURL("https://example.test/")
	rs.Close()
	return e.Buf
}

func newTestBatch(t testing.TB) *Batch {
	t.Helper()
	b, err := NewBatch(otlp.Traces, request(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func consumers(fs ...*fake) []Consumer {
	out := make([]Consumer, len(fs))
	for i, f := range fs {
		out[i] = f
	}
	return out
}

func TestFanoutOfOneIsTheConsumerItself(t *testing.T) {
	for _, mutates := range []bool{false, true} {
		f := &fake{mutates: mutates}
		if Fanout(f) != Consumer(f) {
			t.Errorf("mutates %v: wrapped", mutates)
		}
	}
}

func TestFanoutReadersShareTheBytes(t *testing.T) {
	a, b, c := &fake{}, &fake{}, &fake{}
	batch := newTestBatch(t)
	defer batch.Release()
	f := Fanout(consumers(a, b, c)...)
	if f.Capabilities().MutatesData {
		t.Error("a fan-out of readers says that it mutates")
	}
	if err := f.Consume(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*fake{a, b, c} {
		if len(x.addrs) != 1 || x.addrs[0] != &batch.Bytes()[0] {
			t.Error("a reader was given other bytes, or none")
		}
		if !x.shared[0] {
			t.Error("a reader was given a batch that is not marked shared")
		}
	}
}

// Whatever the mix and the order, nobody sees what another wrote.
func TestFanoutHidesMutationsFromOthers(t *testing.T) {
	for mask := range 8 {
		var fs []*fake
		for i := range 3 {
			f := &fake{name: fmt.Sprint(i), mutates: mask>>i&1 == 1}
			if f.mutates {
				f.do = scribble
			}
			fs = append(fs, f)
		}
		batch := newTestBatch(t)
		if err := Fanout(consumers(fs...)...).Consume(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		for i, f := range fs {
			if !bytes.Equal(f.seen[0], request()) {
				t.Errorf("mix %03b: consumer %d saw what another wrote", mask, i)
			}
		}
		if mask != 7 && !bytes.Equal(batch.Bytes(), request()) {
			t.Errorf("mix %03b: the batch changed although a consumer only reads", mask)
		}
		batch.Release()
	}
}

// A reader that keeps the batch sees it unchanged for as long as it keeps it.
func TestFanoutKeptBatchStaysAsItWas(t *testing.T) {
	var kept *Batch
	retaining := &fake{mutates: true, do: func(b *Batch) error { kept = b.Retain(); return nil }}
	last := &fake{mutates: true, do: func(b *Batch) error {
		if _, err := b.Edit(); !errors.Is(err, ErrShared) {
			t.Errorf("Edit of a batch that another retains: %v", err)
		}
		return nil
	}}
	batch := newTestBatch(t)
	if err := Fanout(retaining, last).Consume(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	batch.Release()
	if !bytes.Equal(kept.Bytes(), request()) {
		t.Error("the kept batch changed")
	}
	kept.Release()
}

func TestFanoutLastMutatorHasTheBatchToItself(t *testing.T) {
	var got []error
	try := func(b *Batch) error {
		_, err := b.Edit()
		got = append(got, err)
		return nil
	}
	fs := []*fake{{mutates: true, do: try}, {mutates: true, do: try}, {mutates: true, do: try}}
	f := Fanout(consumers(fs...)...)
	if !f.Capabilities().MutatesData {
		t.Error("a fan-out of mutators says that it does not mutate")
	}
	batch := newTestBatch(t)
	defer batch.Release()
	if err := f.Consume(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(got[0], ErrShared) || !errors.Is(got[1], ErrShared) || got[2] != nil {
		t.Errorf("Edit answered %v; want refused, refused, granted", got)
	}
}

func TestFanoutOfASharedBatchGrantsNobody(t *testing.T) {
	granted := 0
	try := func(b *Batch) error {
		if _, err := b.Edit(); err == nil {
			granted++
		}
		return nil
	}
	inner := Fanout(&fake{mutates: true, do: try}, &fake{mutates: true, do: try})
	batch := newTestBatch(t)
	defer batch.Release()
	batch.MarkShared()
	if err := inner.Consume(t.Context(), batch); err != nil || granted != 0 {
		t.Errorf("directly: %d granted, %v", granted, err)
	}
	outer := Fanout(&fake{}, inner)
	fresh := newTestBatch(t)
	defer fresh.Release()
	if err := outer.Consume(t.Context(), fresh); err != nil || granted != 0 {
		t.Errorf("behind another fan-out with a reader: %d granted, %v", granted, err)
	}
}

func TestFanoutCallsAllAndJoinsErrors(t *testing.T) {
	boom := errors.New("boom")
	a := &fake{name: "otlp/a", do: func(*Batch) error { return boom }}
	b := &fake{name: "debug"}
	c := &fake{name: "file", do: func(*Batch) error { return Permanently(errors.New("disk is gone")) }}
	batch := newTestBatch(t)
	defer batch.Release()
	err := Fanout(a, b, c).Consume(t.Context(), batch)
	if len(a.seen)+len(b.seen)+len(c.seen) != 3 {
		t.Error("not all consumers were called")
	}
	if !errors.Is(err, boom) {
		t.Error("the joined error lost its parts")
	}
	var fe *FanoutError
	if !errors.As(err, &fe) || len(fe.Failed) != 2 || fe.Failed[0].Branch != "otlp/a" || fe.Failed[0].Index != 0 || fe.Failed[1].Branch != "file" || fe.Failed[1].Index != 2 {
		t.Fatalf("branches: %+v", fe)
	}
	var be *BranchError
	if !errors.As(err, &be) || be.Branch != "otlp/a" {
		t.Errorf("the first failed branch: %v", be)
	}
	if want := "2 of 3 branches failed: otlp/a: boom; file: disk is gone"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestFanoutVerdict(t *testing.T) {
	again := errors.New("later")
	over := func(d time.Duration) error { return &Error{Kind: Overloaded, RetryAfter: d, Err: again} }
	partial := func(n int64) error { return &Error{Kind: Partial, Rejected: n, Err: again} }
	tests := []struct {
		name string
		errs []error
		want Error
	}{
		{"all kept", []error{nil, nil}, Error{}},
		{"one retryable", []error{again, nil}, Error{Kind: Retryable}},
		{"all retryable", []error{again, again}, Error{Kind: Retryable}},
		{"the longest wish counts", []error{over(time.Second), over(5 * time.Second), again}, Error{Kind: Overloaded, RetryAfter: 5 * time.Second}},
		{"one permanent", []error{again, Permanently(again)}, Error{Kind: Retryable}},
		{"only permanent", []error{nil, Permanently(again)}, Error{Kind: Permanent}},
		{"partial alone", []error{nil, partial(3)}, Error{Kind: Partial, Rejected: 3}},
		{"partial twice", []error{partial(3), partial(7)}, Error{Kind: Partial, Rejected: 7}},
		{"a kind nobody knows is retryable", []error{&Error{Kind: 77, Err: again}, &Error{Err: again}}, Error{Kind: Retryable}},
		{"partial and retryable", []error{partial(3), again}, Error{Kind: Retryable}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var cs []Consumer
			for _, err := range tt.errs {
				cs = append(cs, &fake{do: func(*Batch) error { return err }})
			}
			batch := newTestBatch(t)
			defer batch.Release()
			got := Classify(Fanout(cs...).Consume(t.Context(), batch))
			if got == nil {
				got = &Error{}
			}
			if got.Kind != tt.want.Kind || got.RetryAfter != tt.want.RetryAfter || got.Rejected != tt.want.Rejected {
				t.Errorf("got %s after %v, %d rejected; want %s after %v, %d", got.Kind, got.RetryAfter, got.Rejected, tt.want.Kind, tt.want.RetryAfter, tt.want.Rejected)
			}
		})
	}
}

// A fan-out inside another counts as one branch with its own verdict.
func TestFanoutNestedVerdict(t *testing.T) {
	inner := Fanout(&fake{name: "x", do: func(*Batch) error { return Permanently(errors.New("no")) }}, &fake{})
	batch := newTestBatch(t)
	defer batch.Release()
	err := Fanout(inner, &fake{do: func(*Batch) error { return errors.New("later") }}).Consume(t.Context(), batch)
	if k := Classify(err).Kind; k != Retryable {
		t.Errorf("got %s, want retryable", k)
	}
	if !strings.Contains(err.Error(), "x: no") {
		t.Errorf("the inner branch is lost: %v", err)
	}
}

// Many goroutines push batches through one fan-out; branches keep some of them.
// Run with -race.
func TestFanoutConcurrently(t *testing.T) {
	before := Live()
	kept := make(chan *Batch, 64)
	var drain sync.WaitGroup
	drain.Go(func() {
		for b := range kept {
			if !bytes.Equal(b.Bytes(), request()) {
				t.Error("a kept batch changed")
			}
			b.Release()
		}
	})
	f := Fanout(
		&fake{mutates: true, do: func(b *Batch) error { kept <- b.Retain(); return nil }},
		&fake{mutates: true, do: scribble},
		&fake{do: func(b *Batch) error { kept <- b.Retain(); return nil }},
	)
	var send sync.WaitGroup
	for range 8 {
		send.Go(func() {
			for range 200 {
				buf := NewBuffer(len(request()))
				buf.Bytes = append(buf.Bytes, request()...)
				b, err := NewPooledBatch(otlp.Traces, buf, nil)
				buf.Release()
				if err != nil {
					t.Error(err)
					return
				}
				if err := f.Consume(context.Background(), b); err != nil {
					t.Error(err)
				}
				b.Release()
			}
		})
	}
	send.Wait()
	close(kept)
	drain.Wait()
	if n := Live(); n != before {
		t.Errorf("%d batches were not released: %v", n-before, LiveStacks())
	}
}

func BenchmarkFanout(b *testing.B) {
	batch := newTestBatch(b)
	defer batch.Release()
	f := Fanout(nop(), nop(), nop())
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Consume(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
