package pipeline

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// editorFunc is an Editor that keeps nothing.
type editorFunc func(p *otlpedit.Pass, l otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error)

func (f editorFunc) End() {}
func (f editorFunc) Edit(p *otlpedit.Pass, l otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	return f(p, l, m, w)
}

// edits is a processor that edits, and may drop, at some levels.
func edits(levels otlpedit.Levels, f editorFunc) *Edits {
	return NewEdits(otlpedit.Plan{Edits: levels, Drops: levels & otlpedit.Items, New: func() otlpedit.Editor { return f }})
}

// spanNames is a request with a span of each name, in a scope and a resource for
// itself, and its batch, with a ticket of budget.
func spanNames(t testing.TB, budget *admission.Budget, names ...string) *Batch {
	t.Helper()
	buf := NewBuffer(0)
	defer buf.Release()
	var e otlp.Encoder
	for _, name := range names {
		rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
		ss := rs.AddScopeSpans()
		span := ss.AddSpans()
		span.SetName(name)
		span.Close()
		ss.Close()
		rs.Close()
	}
	buf.Bytes = e.Buf
	ticket, err := budget.Acquire(t.Context(), "a client", held+cap(buf.Bytes))
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewPooledBatch(otlp.Traces, buf, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Hold(ticket)
	return b
}

func namesOf(request []byte) string {
	var all []string
	for g := range otlp.Groups(request) {
		for span := range g.Items.All() {
			all = append(all, string(otlp.Span(span).Name()))
		}
	}
	return strings.Join(all, " ")
}

// rename is a processor that appends a suffix to span names, drops the span
// called drop, fails on that called fail, and panics on that called panic. It
// writes down what it sees.
func rename(suffix, drop, fail, boom string, log *strings.Builder) *Edits {
	return edits(otlpedit.Items, func(_ *otlpedit.Pass, _ otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
		name := string(otlp.Span(m).Name())
		if log != nil {
			log.WriteString(suffix + ":" + name + " ")
		}
		switch name {
		case drop:
			return otlpedit.Drop, nil
		case fail:
			return otlpedit.Keep, Permanently(errors.New("bad name"))
		case boom:
			panic("boom")
		}
		w.Without(m, otlpfield.SpanName)
		w.String(otlpfield.SpanName, name+suffix)
		return otlpedit.Replace, nil
	})
}

func TestEditsIsAProcessor(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 1 << 20})
	b := spanNames(t, budget, "a", "b", "c")
	defer b.Release()
	before := bytes.Clone(b.Bytes())

	none := edits(otlpedit.Items, func(*otlpedit.Pass, otlpedit.Levels, []byte, *otlpedit.Writer) (otlpedit.Verdict, error) {
		return otlpedit.Keep, nil
	})
	if d, err := none.Process(t.Context(), b); d != b || err != nil {
		t.Errorf("nothing changes: %p of %p, %v", d, b, err)
	}
	d, err := rename("1", "b", "", "", nil).Process(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if got := namesOf(d.Bytes()); got != "a1 c1" || d.Items() != 2 {
		t.Errorf("got %s, %d items", got, d.Items())
	}
	used(t, budget, "with the derived batch", held+cap(b.Bytes())+cap(d.Bytes()))
	d.Release()
	all := edits(otlpedit.Items, func(*otlpedit.Pass, otlpedit.Levels, []byte, *otlpedit.Writer) (otlpedit.Verdict, error) {
		return otlpedit.Drop, nil
	})
	if d, err := all.Process(t.Context(), b); d != nil || err != nil {
		t.Errorf("all is dropped: %p, %v", d, err)
	}
	if _, err := rename("", "", "b", "", nil).Process(t.Context(), b); Classify(err).Kind != Permanent || err.Error() != "edit a traces request: bad name" {
		t.Errorf("an error: %v", err)
	}
	growing := edits(otlpedit.Items, func(*otlpedit.Pass, otlpedit.Levels, []byte, *otlpedit.Writer) (otlpedit.Verdict, error) {
		return otlpedit.Keep, &otlpedit.GrowthError{RequestBytes: 7} // as the pass returns it
	})
	if _, err := growing.Process(t.Context(), b); Classify(err).Kind != Permanent {
		t.Errorf("too large: %v", err)
	}
	used(t, budget, "afterwards", held+cap(b.Bytes()))
	if !bytes.Equal(b.Bytes(), before) {
		t.Error("the batch was written to")
	}
}

// Neighbours are run in one pass, which makes one copy and has the same result,
// and their counts are right.
func TestNeighboursAreFused(t *testing.T) {
	for _, timed := range []bool{false, true} {
		budget := admission.New(admission.Config{Bytes: 1 << 20})
		b := spanNames(t, budget, "a", "b", "c", "d")
		var log strings.Builder
		var tallies [5]*tally

		step := func(i int, p Processor) Step {
			tallies[i] = &tally{timed: timed}
			return Step{Name: string(rune('0' + i)), Processor: p, Observer: tallies[i]}
		}
		var got string
		c := Chain(ConsumerFunc(func(_ context.Context, d *Batch) error {
			got = namesOf(d.Bytes())
			return nil
		}), step(0, rename("1", "b", "", "", &log)), step(1, rename("2", "c1", "", "", &log)),
			step(2, pass), step(3, rename("3", "", "", "", &log)), step(4, rename("4", "a123", "", "", &log)))
		if err := c.Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if got != "d1234" {
			t.Errorf("timed %v: got %s", timed, got)
		}
		want := "1:a 2:a1 1:b 1:c 2:c1 1:d 2:d1 3:a12 4:a123 3:d12 4:d123 "
		if timed {
			want = "1:a 1:b 1:c 1:d 2:a1 2:c1 2:d1 3:a12 3:d12 4:a123 4:d123 "
		}
		if log.String() != want {
			t.Errorf("timed %v: editors saw %s", timed, log.String())
		}
		var counts []string
		for _, o := range tallies {
			counts = append(counts, o.take())
		}
		if text := strings.Join(counts, ", "); text != "traces 4→3, traces 3→2, traces 2→2, traces 2→2, traces 2→1" {
			t.Errorf("timed %v: counted %s", timed, text)
		}
		b.Release()
		used(t, budget, "the end", 0)
	}
}

func TestFusedStepsHoldOneCopy(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 1 << 20})
	b := spanNames(t, budget, strings.Repeat("x", 10000))
	defer b.Release()
	own := budget.Stats().Used
	s := Step{Processor: rename("1", "", "", "", nil)}
	if err := Chain(nop(), s, s, s, s).Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if one := budget.Stats().Peak - own; one > 1<<14 {
		t.Errorf("%d bytes beside the request of 10000: more than one copy", one)
	}
}

// What is dropped by one step does not come to the next, fused or not.
func TestFusedStepsThatDropAll(t *testing.T) {
	b := spanNames(t, nil, "a")
	defer b.Release()
	first, second, third := &tally{}, &tally{}, &tally{}
	next := ConsumerFunc(func(context.Context, *Batch) error { t.Error("passed on"); return nil })
	err := Chain(next, Step{Processor: rename("1", "", "", "", nil), Observer: first}, Step{Processor: rename("2", "a1", "", "", nil), Observer: second},
		Step{Processor: rename("3", "", "", "", nil), Observer: third}).Consume(t.Context(), b)
	if got := first.take() + "|" + second.take() + "|" + third.take(); err != nil || got != "traces 1→1|traces 1→0|" {
		t.Errorf("%v; counted %s", err, got)
	}
}

// A failure in a fused pass is reported as if the steps had run one by one.
func TestFailureInAFusedPass(t *testing.T) {
	live := Live()
	for _, tt := range []struct {
		name   string
		second *Edits
		check  func(error) bool
	}{
		{"error", rename("2", "", "b1", "", nil), func(err error) bool {
			return Classify(err).Kind == Permanent && strings.HasPrefix(Classify(err).Error(), `processor "second": edit a traces request: bad name`)
		}},
		{"panic", rename("2", "", "", "b1", nil), func(err error) bool {
			var p *PanicError
			return errors.As(err, &p) && p.Processor == "second" && p.Value == "boom" && bytes.Contains(p.Stack, []byte("edit_test.go"))
		}},
	} {
		budget := admission.New(admission.Config{Bytes: 1 << 20})
		b := spanNames(t, budget, "a", "b", "c")
		first, second, third := &tally{}, &tally{}, &tally{}
		next := ConsumerFunc(func(context.Context, *Batch) error { t.Error("passed on"); return nil })
		c := Chain(next, Step{Name: "first", Processor: rename("1", "a", "", "", nil), Observer: first},
			Step{Name: "second", Processor: tt.second, Observer: second}, Step{Name: "third", Processor: rename("3", "", "", "", nil), Observer: third})
		for range 2 {
			if err := c.Consume(t.Context(), b); err == nil || !tt.check(err) {
				t.Errorf("%s: %v", tt.name, err)
			}
			if got := first.take() + "|" + second.take() + "|" + third.take(); got != "traces 3→2|traces 2→0|" {
				t.Errorf("%s: counted %s", tt.name, got)
			}
			used(t, budget, tt.name, held+cap(b.Bytes()))
		}
		b.Release()
		used(t, budget, "the end", 0)
		if Live() != live {
			t.Errorf("%s: %d batches are alive", tt.name, Live()-live)
		}
	}
}

func TestFusedPassWithoutRoom(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 1 << 16, MaxWait: -1})
	b := spanNames(t, budget, "a")
	other, err := budget.Acquire(t.Context(), "another", int(1<<16-budget.Stats().Used))
	if err != nil {
		t.Fatal(err)
	}
	s := Step{Name: "x", Processor: rename("1", "", "", "", nil)}
	if err := Chain(nop(), s, s).Consume(t.Context(), b); Classify(err) == nil || Classify(err).Kind != Overloaded {
		t.Errorf("got %v", err)
	}
	other.Release()
	b.Release()
	used(t, budget, "the end", 0)
}

// Without memory, or after the end of its context, a fused pass is not tried again
// step by step.
func TestFusedPassIsRefusedOnce(t *testing.T) {
	for name, refuse := range map[string]func(cancel func()) error{
		"memory":  func(func()) error { return &admission.Overload{Reason: "full"} },
		"context": func(cancel func()) error { cancel(); return context.Canceled },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b := spanNames(t, admission.New(admission.Config{Bytes: 1 << 20}), "a")
		tries, first, second := 0, &tally{}, &tally{}
		refusing := edits(otlpedit.Items, func(*otlpedit.Pass, otlpedit.Levels, []byte, *otlpedit.Writer) (otlpedit.Verdict, error) {
			tries++
			return otlpedit.Keep, refuse(cancel)
		})
		next := ConsumerFunc(func(context.Context, *Batch) error { t.Error("passed on"); return nil })
		err := Chain(next, Step{Name: "first", Processor: refusing, Observer: first},
			Step{Name: "second", Processor: rename("2", "", "", "", nil), Observer: second}).Consume(ctx, b)
		if got := first.take() + "|" + second.take(); tries != 1 || err == nil || got != "traces 1→0|" {
			t.Errorf("%s: %v after %d tries; counted %s", name, err, tries, got)
		}
		b.Release()
	}
}

// A panic in a fused pass is reported even if it does not happen again.
func TestPanicOnceInAFusedPass(t *testing.T) {
	live, budget := Live(), admission.New(admission.Config{Bytes: 1 << 20})
	b := spanNames(t, budget, "a")
	panics := true
	once := edits(otlpedit.Items, func(*otlpedit.Pass, otlpedit.Levels, []byte, *otlpedit.Writer) (otlpedit.Verdict, error) {
		if panics {
			panics = false
			panic("boom")
		}
		return otlpedit.Keep, nil
	})
	next := ConsumerFunc(func(context.Context, *Batch) error { t.Error("passed on"); return nil })
	err := Chain(next, Step{Name: "first", Processor: once}, Step{Name: "second", Processor: rename("2", "", "", "", nil)}).Consume(t.Context(), b)
	var p *PanicError
	if !errors.As(err, &p) || p.Value != "boom" || p.Processor != "first, second" || !bytes.Contains(p.Stack, []byte("edit_test.go")) || Classify(err).Kind != Permanent {
		t.Errorf("%v", err)
	}
	b.Release()
	used(t, budget, "the end", 0)
	if Live() != live {
		t.Errorf("%d batches are alive", Live()-live)
	}
}

// Plans that are not fusable are run one after the other.
func TestWhatIsNotFusableIsRunApart(t *testing.T) {
	var log strings.Builder
	write := func(level otlpedit.Levels, name string) otlpedit.Plan {
		return otlpedit.Plan{Edits: level, New: func() otlpedit.Editor {
			return editorFunc(func(*otlpedit.Pass, otlpedit.Levels, []byte, *otlpedit.Writer) (otlpedit.Verdict, error) {
				log.WriteString(name)
				return otlpedit.Keep, nil
			})
		}}
	}
	reads := write(otlpedit.Items, "i")
	reads.Reads = otlpedit.Resources
	b := spanNames(t, nil, "a", "b")
	defer b.Release()
	for _, tt := range []struct {
		plans []otlpedit.Plan
		want  string
	}{
		{[]otlpedit.Plan{write(otlpedit.Items, "i"), write(otlpedit.Resources, "r")}, "riri"},
		{[]otlpedit.Plan{reads, write(otlpedit.Resources, "r"), write(otlpedit.Resources, "R")}, "iirRrR"},
	} {
		log.Reset()
		var steps []Step
		for _, p := range tt.plans {
			steps = append(steps, Step{Processor: NewEdits(p)})
		}
		if err := Chain(nop(), steps...).Consume(t.Context(), b); err != nil || log.String() != tt.want {
			t.Errorf("got %s, want %s; %v", log.String(), tt.want, err)
		}
	}
}

func TestFusedPassAllocatesNothing(t *testing.T) {
	if strict {
		t.Skip("builds with the tag poison, or with the race detector, allocate on their own")
	}
	b := spanNames(t, nil, "a", "b", "c")
	defer b.Release()
	keep := Step{Processor: edits(otlpedit.Resources|otlpedit.Items, func(*otlpedit.Pass, otlpedit.Levels, []byte, *otlpedit.Writer) (otlpedit.Verdict, error) {
		return otlpedit.Keep, nil
	}), Observer: silent{}}
	ctx := t.Context()
	for _, c := range []Consumer{Chain(nop(), keep), Chain(nop(), keep, keep, keep)} {
		if n := testing.AllocsPerRun(100, func() { _ = c.Consume(ctx, b) }); n > 0 {
			t.Errorf("%v allocations for a batch that passes", n)
		}
	}
}

func TestFusedConcurrently(t *testing.T) {
	s := Step{Processor: rename("1", "", "", "", nil), Observer: &tally{}}
	done := make(chan error)
	c := Chain(ConsumerFunc(func(_ context.Context, d *Batch) error {
		if got := namesOf(d.Bytes()); got != "a11 b11" {
			return errors.New(got)
		}
		return nil
	}), s, s)
	for range 8 {
		go func() {
			var err error
			for range 100 {
				b := spanNames(t, nil, "a", "b")
				err = errors.Join(err, c.Consume(context.Background(), b))
				b.Release()
			}
			done <- err
		}()
	}
	for range 8 {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("stuck")
		}
	}
}
