package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Fanout returns a consumer that passes each batch to all of consumers, in their
// order, in the caller's goroutine. A single consumer is returned as it is.
//
// No bytes are copied. While more than one consumer may see a batch it is
// marked shared, so that a mutating one has to write new bytes. Where all
// consumers mutate, the last has the batch to itself and may edit in place,
// provided that it was not shared before and that none of the others retained
// it.
//
// All consumers are called even if one fails. What the sender is asked to do:
//
//	one could not keep it (Retryable, Overloaded)   send again; this reaches all
//	else, one refused it for good (Permanent)       nothing more, if it has its copy in
//	                                                its dead letters (RefusalRecorder), or
//	                                                nobody else has it; else it is refused
//	else, one kept a part (Partial)                 nothing more
//
// So a branch that could not keep a request gets it again whatever the others say. A
// branch that had kept it has it twice then, which a RepeatCounter counts. A branch that
// refuses it for good refuses it each time, and keeps its copy once, when nothing is to be
// sent again. An error of Consume is a *FanoutError.
func Fanout(consumers ...Consumer) Consumer {
	switch len(consumers) {
	case 0:
		panic("pipeline: Fanout without consumers")
	case 1:
		return consumers[0]
	}
	f := &fanout{consumers: consumers, allMutate: true}
	for _, c := range consumers {
		f.allMutate = f.allMutate && c.Capabilities().MutatesData
	}
	return f
}

type fanout struct {
	consumers []Consumer
	allMutate bool
}

// Capabilities: a fan-out mutates what it is given if all its branches do; else
// the batch it passes on is shared, so that none can.
func (f *fanout) Capabilities() Capabilities {
	all := Capabilities{MutatesData: f.allMutate}
	for _, c := range f.consumers {
		all = all.With(c.Capabilities())
	}
	return all
}

func (f *fanout) Consume(ctx context.Context, b *Batch) error {
	var failed []*BranchError
	wasShared := b.shared.Load()
	b.shared.Store(true)
	last := len(f.consumers) - 1
	for i, c := range f.consumers {
		if i == last && f.allMutate && !wasShared && failed == nil { // if another retains it, Edit refuses; one that failed may need it
			b.shared.Store(false)
		}
		if err := c.Consume(ctx, b); err != nil {
			failed = append(failed, &BranchError{Index: i, Branch: branchName(c), Err: err})
		}
	}
	return f.settle(ctx, b, failed)
}

// RefusalRecorder is implemented by branches of a fan-out that may have dead letters.
type RefusalRecorder interface {
	// RecordRefused is called if the branch has refused a batch for good because of why, and
	// the sender is not asked to send it again. nil means that the branch has its copy
	// where an operator finds it, durably.
	RecordRefused(ctx context.Context, b *Batch, why error) error
}

// RepeatCounter is implemented by branches of a fan-out that count repeats.
type RepeatCounter interface {
	// Repeated is called if the branch has kept a batch and gets it again, as the sender is
	// asked to send it again for another branch.
	Repeated(ctx context.Context, b *Batch)
}

// settle returns the answer for a batch that some branches failed to keep.
func (f *fanout) settle(ctx context.Context, b *Batch, failed []*BranchError) error {
	if failed == nil {
		return nil
	}
	e := joinBranches(failed, len(f.consumers))
	e.kept = f.kept(failed)
	switch e.verdict.Kind {
	case Retryable, Overloaded:
		for _, c := range e.kept {
			c.Repeated(ctx, b)
		}
	case Permanent:
		left := f.recordRefused(ctx, b, failed)
		if len(left) == 0 {
			return nil
		}
		kept := e.kept
		e = joinBranches(left, len(f.consumers))
		e.kept = kept
	}
	return e
}

// kept returns the branches that have kept a batch, or a part of it, and count repeats.
func (f *fanout) kept(failed []*BranchError) (all []RepeatCounter) {
	for i, c := range f.consumers {
		isFailed := slices.ContainsFunc(failed, func(e *BranchError) bool { return e.Index == i && Classify(e.Err).Kind != Partial })
		if counter, ok := c.(RepeatCounter); ok && !isFailed {
			all = append(all, counter)
		}
	}
	return all
}

// SentAgain counts the repeats of a batch that was refused for good and is sent again all
// the same, in parts.
func (e *FanoutError) SentAgain(ctx context.Context, b *Batch) {
	if e.verdict.Kind != Permanent { // else they are counted
		return
	}
	for _, c := range e.kept {
		c.Repeated(ctx, b)
	}
	for _, f := range e.Failed {
		var inner *FanoutError
		if errors.As(f.Err, &inner) {
			inner.SentAgain(ctx, b)
		}
	}
}

// recordRefused lets branches keep what they have refused for good, unless all have: then
// the sender has it. It returns the failures that are left.
func (f *fanout) recordRefused(ctx context.Context, b *Batch, failed []*BranchError) (left []*BranchError) {
	refused := 0
	for _, e := range failed {
		if Classify(e.Err).Kind == Permanent {
			refused++
		}
	}
	if refused == len(f.consumers) {
		return failed
	}
	for _, e := range failed {
		recorder, ok := f.consumers[e.Index].(RefusalRecorder)
		if Classify(e.Err).Kind == Permanent && ok && recorder.RecordRefused(ctx, b, e.Err) == nil {
			continue
		}
		left = append(left, e)
	}
	return left
}

func branchName(c Consumer) string {
	if n, ok := c.(Named); ok {
		return n.Name()
	}
	return ""
}

// BranchError is one branch's failure, with the branch's identity.
type BranchError struct {
	// Index is the branch's place among Fanout's arguments.
	Index int
	// Branch is the consumer's name, if it is Named.
	Branch string
	Err    error
}

func (e *BranchError) Error() string {
	if e.Branch == "" {
		return fmt.Sprintf("branch %d: %v", e.Index, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Branch, e.Err)
}

// Unwrap returns the branch's own error.
func (e *BranchError) Unwrap() error { return e.Err }

// FanoutError joins the failures of one batch.
type FanoutError struct {
	Failed   []*BranchError
	Branches int // how many branches there are, failed or not
	kept     []RepeatCounter
	verdict  Error
}

func (e *FanoutError) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d of %d branches failed: ", len(e.Failed), e.Branches)
	for i, b := range e.Failed {
		if i > 0 {
			s.WriteString("; ")
		}
		s.WriteString(b.Error())
	}
	return s.String()
}

// Unwrap returns the failures, the joint verdict first: errors.As for an *Error,
// and so Classify, finds what to do about the whole; errors.As for a
// *BranchError finds the first failed branch.
func (e *FanoutError) Unwrap() []error {
	out := make([]error, 0, 1+len(e.Failed))
	out = append(out, &e.verdict)
	for _, b := range e.Failed {
		out = append(out, b)
	}
	return out
}

// joinBranches decides what the sender should do: send again if a branch could not keep
// it, whatever the others say, since what is not sent again is lost for that branch.
func joinBranches(failed []*BranchError, branches int) *FanoutError {
	fe := &FanoutError{Failed: failed, Branches: branches}
	v := &fe.verdict
	var kinds [5]int
	for _, b := range failed {
		e := Classify(b.Err)
		kinds[e.Kind]++
		v.RetryAfter = max(v.RetryAfter, e.RetryAfter)
		v.Rejected = max(v.Rejected, e.Rejected)
		if v.Code == 0 {
			v.Code = e.Code
		}
	}
	switch {
	case kinds[Overloaded] > 0:
		v.Kind, v.Rejected = Overloaded, 0
	case kinds[Retryable] > 0:
		v.Kind, v.Rejected = Retryable, 0
	case kinds[Permanent] > 0:
		v.Kind, v.RetryAfter, v.Rejected = Permanent, 0, 0
	default:
		v.Kind = Partial
	}
	v.Err = fmt.Errorf("%s", fe.Error())
	if len(failed) > 1 {
		v.Code = 0
	}
	return fe
}
