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

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/otlp"
)

type processorFunc func(context.Context, *Batch) (*Batch, error)

func (f processorFunc) Process(ctx context.Context, b *Batch) (*Batch, error) { return f(ctx, b) }

// editing is a processor that edits in place.
type editing struct{ processorFunc }

func (editing) Capabilities() Capabilities { return Capabilities{MutatesData: true} }

// Processors of several kinds.
var (
	pass      = processorFunc(func(_ context.Context, b *Batch) (*Batch, error) { return b, nil })
	drop      = processorFunc(func(context.Context, *Batch) (*Batch, error) { return nil, nil })
	duplicate = processorFunc(func(ctx context.Context, b *Batch) (*Batch, error) {
		buf, err := b.NewBuffer(ctx, len(b.Bytes()))
		if err != nil {
			return nil, err
		}
		defer buf.Release()
		buf.Bytes = append(buf.Bytes, b.Bytes()...)
		return b.Derive(buf, b.Items()), nil
	})
	renew = processorFunc(func(_ context.Context, b *Batch) (*Batch, error) {
		return NewBatch(b.Signal(), bytes.Clone(b.Bytes()), b.Client())
	})
	scribbling = editing{processorFunc(func(ctx context.Context, b *Batch) (*Batch, error) {
		if _, err := b.Edit(); err != nil {
			if b, err = duplicate(ctx, b); err != nil {
				return nil, err
			}
		}
		p, err := b.Edit()
		p[len(p)-1] ^= 0xff
		return b, err
	})}
	boom = processorFunc(func(context.Context, *Batch) (*Batch, error) { panic("boom") })
)

// tally is an Observer that records its calls.
type tally struct {
	timed bool
	mu    sync.Mutex
	got   []string
	took  time.Duration
}

func (o *tally) Timed() bool { return o.timed }
func (o *tally) Processed(_ context.Context, s otlp.Signal, in, out int, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.got = append(o.got, fmt.Sprintf("%s %d→%d", s, in, out))
	o.took += took
}

func (o *tally) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := strings.Join(o.got, ", ")
	o.got = nil
	return text
}

// threeSpans is a request with three items, of a ticket of budget.
func threeSpans(t testing.TB, budget *admission.Budget) *Batch {
	t.Helper()
	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	ss := rs.AddScopeSpans()
	for range 3 {
		ss.AddSpans().Close()
	}
	ss.Close()
	rs.SetSchemaURL("https://example.test/")
	rs.Close()
	buf := BufferOf(&e.Buf)
	defer buf.Release()
	ticket, err := budget.Acquire(t.Context(), "a client", held+cap(e.Buf))
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewPooledBatch(otlp.Traces, buf, &Client{Addr: "192.0.2.1:5"})
	if err != nil {
		t.Fatal(err)
	}
	b.Hold(ticket)
	return b
}

func TestChainWithoutStepsIsTheConsumer(t *testing.T) {
	f := &fake{}
	if Chain(f) != Consumer(f) {
		t.Error("wrapped")
	}
}

func TestChainPassesOnWhatProcessorsReturn(t *testing.T) {
	tests := []struct {
		name  string
		steps []processorFunc
		same  bool // as the batch that came
		none  bool
		tally string // of each step
	}{
		{"unchanged", []processorFunc{pass, pass}, true, false, "traces 3→3|traces 3→3"},
		{"derived", []processorFunc{duplicate}, false, false, "traces 3→3"},
		{"derived twice", []processorFunc{duplicate, pass, duplicate, pass}, false, false, "traces 3→3|traces 3→3|traces 3→3|traces 3→3"},
		{"created", []processorFunc{renew, renew}, false, false, "traces 3→3|traces 3→3"},
		{"dropped", []processorFunc{drop, pass}, false, true, "traces 3→0|"},
		{"dropped later", []processorFunc{duplicate, drop, pass}, false, true, "traces 3→3|traces 3→0|"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			live := Live()
			budget := admission.New(admission.Config{Bytes: 1 << 20})
			b := threeSpans(t, budget)
			var seen *Batch
			var bytes []byte
			next := ConsumerFunc(func(_ context.Context, got *Batch) error {
				seen, bytes = got, got.Bytes()
				if got.Signal() != b.Signal() || got.Items() != 3 || got.Client() != b.Client() {
					t.Errorf("%s with %d items of %v", got.Signal(), got.Items(), got.Client())
				}
				if n := Live() - live; n != 1 && tt.same || n > 2 {
					t.Errorf("%d batches are alive", n)
				}
				return nil
			})
			var steps []Step
			var tallies []*tally
			for i, p := range tt.steps {
				o := &tally{}
				tallies = append(tallies, o)
				steps = append(steps, Step{Name: fmt.Sprint(i), Processor: p, Observer: o})
			}
			if err := Chain(next, steps...).Consume(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if (seen == b) != tt.same || (seen == nil) != tt.none || !tt.none && len(bytes) != len(b.Bytes()) {
				t.Errorf("next was given %p of %p", seen, b)
			}
			var got []string
			for _, o := range tallies {
				got = append(got, o.take())
			}
			if text := strings.Join(got, "|"); text != tt.tally {
				t.Errorf("observers got %s, want %s", text, tt.tally)
			}
			if n := Live() - live; n != 1 {
				t.Errorf("%d batches are alive afterwards", n)
			}
			used(t, budget, "afterwards", held+cap(b.Bytes()))
			b.Release()
			used(t, budget, "the end", 0)
		})
	}
}

// The predecessor's bytes are gone as soon as there is a successor; all that is
// alive is on the ticket.
func TestChainHoldsTwoDerivedBatchesAtMost(t *testing.T) {
	for name, p := range map[string]processorFunc{"derived": duplicate, "created": renew} {
		t.Run(name, func(t *testing.T) {
			live := Live()
			budget := admission.New(admission.Config{Bytes: 1 << 20})
			b := admitted(t, budget)
			one := cap(b.Bytes())
			most := int64(0)
			watched := processorFunc(func(ctx context.Context, in *Batch) (*Batch, error) {
				before := Live() - live
				if want := held + one*int(before); name == "derived" {
					used(t, budget, "before a step", want)
				}
				out, err := p(ctx, in)
				most = max(most, Live()-live)
				return out, err
			})
			next := ConsumerFunc(func(_ context.Context, d *Batch) error {
				used(t, budget, "at the end of the chain", held+one+cap(d.Bytes()))
				if n := Live() - live; n != 2 {
					t.Errorf("%d batches at the end of the chain, want the original and one", n)
				}
				return nil
			})
			step := Step{Processor: watched}
			if err := Chain(next, step, step, step, step, step).Consume(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if most != 3 {
				t.Errorf("%d batches were alive, want the original and two", most)
			}
			b.Release()
		})
	}
}

// What an exporter retains of the end of a chain stays on the ticket.
func TestChainRetainedResultStaysCharged(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 1 << 20})
	b := admitted(t, budget)
	var kept *Batch
	next := ConsumerFunc(func(_ context.Context, d *Batch) error { kept = d.Retain(); return nil })
	if err := Chain(next, Step{Processor: duplicate}, Step{Processor: renew}).Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	used(t, budget, "after the chain", held+cap(b.Bytes())+cap(kept.Bytes()))
	b.Release()
	used(t, budget, "after the caller's release", held+cap(kept.Bytes()))
	if !bytes.Equal(kept.Bytes(), request()) {
		t.Error("the retained bytes changed")
	}
	kept.Release()
	used(t, budget, "the end", 0)
}

func TestChainRefusesWhatHasNoRoom(t *testing.T) {
	for name, p := range map[string]processorFunc{"derived": duplicate, "created": renew} {
		live := Live()
		budget := admission.New(admission.Config{Bytes: 1 << 16, MaxWait: -1})
		b := admitted(t, budget)
		other, err := budget.Acquire(t.Context(), "another", int(1<<16-budget.Stats().Used))
		if err != nil {
			t.Fatal(err)
		}
		o := &tally{}
		next := ConsumerFunc(func(context.Context, *Batch) error { t.Error("passed on"); return nil })
		err = Chain(next, Step{Name: "greedy", Processor: p, Observer: o}, Step{Processor: pass}).Consume(t.Context(), b)
		if e := Classify(err); e == nil || e.Kind != Overloaded || e.RetryAfter == 0 || !strings.Contains(e.Error(), `processor "greedy": reserve `) {
			t.Errorf("%s: %v", name, err)
		}
		if got := o.take(); got != "traces 0→0" {
			t.Errorf("%s: observed %s", name, got)
		}
		if Live() != live+1 {
			t.Errorf("%s: %d batches are alive", name, Live()-live)
		}
		b.Release()
		other.Release()
		used(t, budget, name, 0)
	}
}

func TestChainErrorsNameTheProcessorAndKeepTheirKind(t *testing.T) {
	cause := errors.New("bad luck")
	for _, tt := range []struct {
		err  error
		want Error
		text string
	}{
		{cause, Error{Kind: Retryable}, `processor "x/1": bad luck`},
		{Permanently(cause), Error{Kind: Permanent}, `processor "x/1": bad luck`},
		{fmt.Errorf("edit: %w", Permanently(cause)), Error{Kind: Permanent}, `processor "x/1": edit: bad luck`},
		{&Error{Kind: Overloaded, RetryAfter: time.Second, Err: cause}, Error{Kind: Overloaded, RetryAfter: time.Second}, `processor "x/1": bad luck`},
		{&Error{Kind: Permanent}, Error{Kind: Permanent}, `processor "x/1": permanent`},
	} {
		b := threeSpans(t, nil)
		o := &tally{}
		refuse := processorFunc(func(ctx context.Context, b *Batch) (*Batch, error) {
			d, _ := duplicate(ctx, b) // returned beside an error: to be released
			return d, tt.err
		})
		err := Chain(&fake{}, Step{Processor: duplicate}, Step{Name: "x/1", Processor: refuse, Observer: o}).Consume(t.Context(), b)
		e := Classify(err)
		if e == nil || e.Kind != tt.want.Kind || e.RetryAfter != tt.want.RetryAfter || e.Error() != tt.text || !errors.Is(err, tt.err) {
			t.Errorf("%v: got %v", tt.err, err)
		}
		if got := o.take(); got != "traces 3→0" {
			t.Errorf("observed %s", got)
		}
		b.Release()
	}
}

// What next says comes back as it is, and a panic of next is not the chain's.
func TestChainReturnsWhatNextReturns(t *testing.T) {
	live := Live()
	want := &Error{Kind: Overloaded, Err: errors.New("full")}
	for _, p := range []processorFunc{pass, duplicate} {
		b := newTestBatch(t)
		if err := Chain(&fake{do: func(*Batch) error { return want }}, Step{Processor: p}).Consume(t.Context(), b); err != want {
			t.Errorf("got %v", err)
		}
		func() {
			defer func() {
				if p := recover(); p != "exporter" {
					t.Errorf("recovered %v", p)
				}
			}()
			_ = Chain(ConsumerFunc(func(context.Context, *Batch) error { panic("exporter") }), Step{Processor: p}).Consume(t.Context(), b)
		}()
		b.Release()
		if Live() != live {
			t.Errorf("%d batches are alive", Live()-live)
		}
	}
}

func TestChainSurvivesAPanic(t *testing.T) {
	live := Live()
	budget := admission.New(admission.Config{Bytes: 1 << 20})
	b := threeSpans(t, budget)
	forgetful := processorFunc(func(ctx context.Context, b *Batch) (*Batch, error) {
		if _, err := b.NewBuffer(ctx, 5000); err != nil { // and never releases it
			return nil, err
		}
		return boom(ctx, b)
	})
	o := &tally{}
	next := ConsumerFunc(func(context.Context, *Batch) error { t.Error("passed on"); return nil })
	for _, steps := range [][]Step{
		{{Name: "bad/1", Processor: boom, Observer: o}},
		{{Processor: duplicate}, {Name: "bad/1", Processor: forgetful, Observer: o}, {Processor: pass}},
	} {
		err := Chain(next, steps...).Consume(t.Context(), b)
		var p *PanicError
		if !errors.As(err, &p) || p.Processor != "bad/1" || p.Value != "boom" || !strings.Contains(string(p.Stack), "pipeline.boom") && !strings.Contains(string(p.Stack), "chain_test.go") {
			t.Fatalf("got %#v", err)
		}
		if e := Classify(err); e.Kind != Permanent || e.Error() != `internal error in processor "bad/1"` || strings.Contains(err.Error(), "boom") {
			t.Errorf("the sender got %s: %v", e.Kind, e)
		}
		if got := o.take(); got != "traces 3→0" {
			t.Errorf("observed %s", got)
		}
		if Live() != live+1 {
			t.Errorf("%d batches are alive", Live()-live)
		}
		used(t, budget, "after the panic", held+cap(b.Bytes()))
	}
	b.Release()
	used(t, budget, "the end", 0)
}

// One branch's panic is that branch's error: the others have the batch, and the
// stack is found.
func TestPanicInABranch(t *testing.T) {
	b := newTestBatch(t)
	defer b.Release()
	other := &fake{name: "other"}
	err := Fanout(Chain(&fake{}, Step{Name: "bad", Processor: boom}), other).Consume(t.Context(), b)
	var p *PanicError
	if !errors.As(err, &p) || len(other.seen) != 1 || Classify(err).Kind != Permanent {
		t.Errorf("%v; the other saw %d", err, len(other.seen))
	}
}

func TestChainCapabilities(t *testing.T) {
	reads, mutates := &fake{}, &fake{mutates: true}
	for _, tt := range []struct {
		next  Consumer
		steps []Step
		want  bool
	}{
		{reads, []Step{{Processor: pass}, {Processor: duplicate}}, false},
		{reads, []Step{{Processor: pass}, {Processor: scribbling}}, true},
		{mutates, []Step{{Processor: pass}}, true},
	} {
		if got := Chain(tt.next, tt.steps...).Capabilities().MutatesData; got != tt.want {
			t.Errorf("%d steps: %v", len(tt.steps), got)
		}
	}
}

// Whatever mix of branches there is, nobody sees what a processor of another
// wrote, and the last of several that edit does so without a copy.
func TestFanoutOfChainsThatEdit(t *testing.T) {
	for mask := range 8 {
		var ends [3]*fake
		var branches []Consumer
		for i := range ends {
			ends[i] = &fake{}
			p := Processor(pass)
			if mask>>i&1 == 1 {
				p = scribbling
			}
			branches = append(branches, Chain(ends[i], Step{Processor: pass}, Step{Processor: p}))
		}
		b := newTestBatch(t)
		if err := Fanout(branches...).Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for i, end := range ends {
			want := request()
			if mask>>i&1 == 1 {
				want[len(want)-1] ^= 0xff
			}
			if !bytes.Equal(end.seen[0], want) {
				t.Errorf("mix %03b: branch %d saw %q", mask, i, end.seen[0])
			}
		}
		if inPlace := ends[2].addrs[0] == &b.Bytes()[0]; mask == 7 != inPlace && mask>>2 == 1 {
			t.Errorf("mix %03b: the last edits in place: %v", mask, inPlace)
		}
		b.Release()
	}
}

func TestDurationsAreMeasuredWhereTheyAreWanted(t *testing.T) {
	sleep := processorFunc(func(_ context.Context, b *Batch) (*Batch, error) { time.Sleep(time.Millisecond); return b, nil })
	with, without := &tally{timed: true}, &tally{}
	b := newTestBatch(t)
	defer b.Release()
	c := Chain(&fake{}, Step{Processor: sleep, Observer: with}, Step{Processor: sleep, Observer: without})
	if err := c.Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if with.took < time.Millisecond || without.took != 0 {
		t.Errorf("took %s and %s", with.took, without.took)
	}
}

// silent is an Observer that does nothing.
type silent struct{}

func (silent) Timed() bool                                                     { return false }
func (silent) Processed(context.Context, otlp.Signal, int, int, time.Duration) {}

func TestChainAllocatesNothing(t *testing.T) {
	if strict {
		t.Skip("builds with the tag poison, or with the race detector, allocate on their own")
	}
	b := newTestBatch(t)
	defer b.Release()
	s := Step{Name: "pass", Processor: pass, Observer: silent{}}
	c := Chain(nop(), s, s, s)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _ = c.Consume(ctx, b) }); n > 0 {
		t.Errorf("%v allocations for a batch that passes", n)
	}
}

func BenchmarkChain(b *testing.B) {
	batch := newTestBatch(b)
	defer batch.Release()
	s := Step{Name: "pass", Processor: pass, Observer: silent{}}
	for _, n := range []int{0, 1, 4} {
		b.Run(fmt.Sprintf("steps=%d", n), func(b *testing.B) {
			steps := make([]Step, n)
			for i := range steps {
				steps[i] = s
			}
			c := Chain(nop(), steps...)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Consume(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
