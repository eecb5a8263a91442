package pipeline

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// ruled is a branch with dead letters, which counts repeats.
type ruled struct {
	answer                 error
	full                   bool // it has no room for dead letters
	called, dead, repeated int
}

func (r *ruled) Capabilities() Capabilities            { return Capabilities{} }
func (r *ruled) Consume(context.Context, *Batch) error { r.called++; return r.answer }
func (r *ruled) Repeated(context.Context, *Batch)      { r.repeated++ }
func (r *ruled) RecordRefused(_ context.Context, b *Batch, why error) error {
	if b.Bytes() == nil || !errors.Is(why, r.answer) {
		return errors.New("another request, or another refusal")
	}
	if r.full {
		return errors.New("full")
	}
	r.dead++
	return nil
}

// outcomes are what a branch may answer. A refused branch that is full has no room for
// its copy.
var outcomes = []struct {
	name string
	err  error
	full bool
}{
	{name: "kept"},
	{name: "refused", err: Permanently(errors.New("refused"))},
	{name: "refused, no room", err: Permanently(errors.New("refused")), full: true},
	{name: "retryable", err: errors.New("later")},
	{name: "overloaded", err: &Error{Kind: Overloaded, RetryAfter: 3 * time.Second, Err: errors.New("full")}},
	{name: "partial", err: &Error{Kind: Partial, Rejected: 2, Err: errors.New("two")}},
}

// answers is the rule: what the sender gets for the numbers of branches with each
// outcome, whether refused branches keep their copies, and whether the others count a
// repeat.
func answers(n map[string]int, branches int) (reported string, copies, repeats bool) {
	refused := n["refused"] + n["refused, no room"]
	switch {
	case n["overloaded"] > 0:
		return "overloaded after 3s", false, true
	case n["retryable"] > 0:
		return "retryable after 0s", false, true
	case refused == branches: // the sender has it
		return "permanent", false, false
	case n["refused, no room"] > 0:
		return "permanent", true, false
	case n["partial"] > 0:
		return "partial 2", true, false
	}
	return "kept", true, false
}

func reported(err error) string {
	e := Classify(err)
	switch {
	case e == nil:
		return "kept"
	case e.Kind == Partial:
		return fmt.Sprint("partial ", e.Rejected)
	case e.Kind == Permanent:
		return "permanent"
	}
	return fmt.Sprintf("%s after %s", e.Kind, e.RetryAfter)
}

// Every combination of what two and three branches answer, that are called one after the
// other or at the same time.
func TestFanoutRule(t *testing.T) {
	t.Run("one after the other", func(t *testing.T) { fanoutRule(t, Fanout) })
	t.Run("at the same time", func(t *testing.T) { fanoutRule(t, Concurrent) })
}

func fanoutRule(t *testing.T, join func(...Consumer) Consumer) {
	for branches := 2; branches <= 3; branches++ {
		combinations := 1
		for range branches {
			combinations *= len(outcomes)
		}
		for c := range combinations {
			var cs []Consumer
			var rs []*ruled
			count, name := map[string]int{}, ""
			for k := c; len(rs) < branches; k /= len(outcomes) {
				o := outcomes[k%len(outcomes)]
				r := &ruled{answer: o.err, full: o.full}
				rs, cs = append(rs, r), append(cs, r)
				count[o.name]++
				name += o.name + "; "
			}
			batch := newTestBatch(t)
			got := reported(join(cs...).Consume(t.Context(), batch))
			batch.Release()
			want, copies, repeats := answers(count, branches)
			if got != want {
				t.Errorf("%s the sender gets %q, want %q", name, got, want)
			}
			for i, r := range rs {
				e := Classify(r.answer)
				wantDead := copies && e != nil && e.Kind == Permanent && !r.full
				wantRepeat := repeats && (e == nil || e.Kind == Partial)
				if r.called != 1 || r.dead != number(wantDead) || r.repeated != number(wantRepeat) {
					t.Errorf("%s branch %d: called %d times, %d dead letters, %d repeats", name, i, r.called, r.dead, r.repeated)
				}
			}
		}
	}
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A branch that refuses a request for good keeps its copy once, when the branch that had
// no room for it has kept it.
func TestFanoutRefusalIsKeptOnce(t *testing.T) {
	refusing, down, good := &ruled{answer: Permanently(errors.New("refused"))}, &ruled{answer: errors.New("later")}, &ruled{}
	f := Fanout(refusing, down, good)
	batch := newTestBatch(t)
	defer batch.Release()
	for range 5 {
		if k := Classify(f.Consume(t.Context(), batch)).Kind; k != Retryable {
			t.Fatalf("the sender gets %s, want retryable", k)
		}
	}
	down.answer = nil
	if err := f.Consume(t.Context(), batch); err != nil {
		t.Errorf("the sender gets %v when all have it", err)
	}
	if refusing.dead != 1 || good.repeated != 5 || down.repeated != 0 {
		t.Errorf("%d dead letters, %d repeats of the branch that had it, %d of the other; want 1, 5, 0", refusing.dead, good.repeated, down.repeated)
	}
}
