package frontend

import (
	"context"
	"slices"
	"sync"
)

// Ending is a set of what was replaced and has not ended yet. The zero value is empty. It
// is safe for concurrent use.
type Ending struct {
	mu  sync.Mutex
	all []<-chan struct{}
}

// Add adds something that ends when a channel is closed.
func (e *Ending) Add(ended <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(slices.DeleteFunc(e.all, isClosed), ended)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Wait returns when all that was added before has ended, or with what ended ctx.
func (e *Ending) Wait(ctx context.Context) error {
	e.mu.Lock()
	all := slices.Clone(e.all)
	e.mu.Unlock()
	for _, ended := range all {
		select {
		case <-ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
