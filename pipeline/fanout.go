package pipeline

import (
	"context"
	"fmt"
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
// All consumers are called even if one fails. The error is then a *FanoutError.
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
func (f *fanout) Capabilities() Capabilities { return Capabilities{MutatesData: f.allMutate} }

func (f *fanout) Consume(ctx context.Context, b *Batch) error {
	var failed []*BranchError
	wasShared := b.shared.Load()
	b.shared.Store(true)
	last := len(f.consumers) - 1
	for i, c := range f.consumers {
		if i == last && f.allMutate && !wasShared { // if another retains it, Edit refuses
			b.shared.Store(false)
		}
		if err := c.Consume(ctx, b); err != nil {
			failed = append(failed, &BranchError{Index: i, Branch: branchName(c), Err: err})
		}
	}
	if failed == nil {
		return nil
	}
	return joinBranches(failed, len(f.consumers))
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

// joinBranches decides what the sender should do: send again only if that is
// right for every branch that failed, since a retry reaches them all. So a branch
// that wanted another try goes without where one failed for good; its items are
// in that branch's own count of failures.
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
	switch n := len(failed); {
	case kinds[Partial] == n:
		v.Kind = Partial
	case kinds[Retryable]+kinds[Overloaded] < n:
		v.Kind, v.RetryAfter, v.Rejected = Permanent, 0, 0
	case kinds[Overloaded] > 0:
		v.Kind = Overloaded
	default:
		v.Kind = Retryable
	}
	v.Err = fmt.Errorf("%s", fe.Error())
	if len(failed) > 1 {
		v.Code = 0
	}
	return fe
}
