package pipeline

import (
	"context"
	"runtime/debug"
	"sync"
)

// Concurrent is Fanout for consumers that may wait long: all are called at the same time,
// so that one that waits keeps the batch from none. It returns when all have returned. The
// batch is shared, so that those that mutate it write new bytes.
func Concurrent(consumers ...Consumer) Consumer {
	switch len(consumers) {
	case 0:
		panic("pipeline: Concurrent without consumers")
	case 1:
		return consumers[0]
	}
	return &concurrent{fanout{consumers: consumers}}
}

type concurrent struct{ fanout }

func (c *concurrent) Consume(ctx context.Context, b *Batch) error {
	b.MarkShared()
	errs := make([]error, len(c.consumers))
	var wg sync.WaitGroup
	for i, next := range c.consumers[1:] {
		wg.Go(func() { errs[i+1] = consume(ctx, next, b) })
	}
	errs[0] = consume(ctx, c.consumers[0], b)
	wg.Wait()
	var failed []*BranchError
	for i, err := range errs {
		if err != nil {
			failed = append(failed, &BranchError{Index: i, Branch: branchName(c.consumers[i]), Err: err})
		}
	}
	return c.settle(ctx, b, failed)
}

// consume calls a consumer. A panic is an error, as nothing above would recover it.
func consume(ctx context.Context, c Consumer, b *Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Permanently(&PanicError{Value: p, Stack: debug.Stack()})
		}
	}()
	return c.Consume(ctx, b)
}
