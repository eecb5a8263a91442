package fileexporter

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Calls at the same time share a write: while one writes, the records of the others
// gather in the queue, and the first of them that gets turn writes all. A call that
// finds no other one writes its record immediately.

// An entry is a record that waits to be written. The call that made it waits for done,
// so its bytes stay valid.
type entry struct {
	record []byte
	done   chan error // gets the result; its buffer is 1
}

// queue is the list of entries that nobody writes yet.
type queue struct {
	mu      sync.Mutex
	entries []*entry
	spare   []*entry // its array is that of the group that was taken last
	unused  sync.Pool
}

func (q *queue) add(record []byte) *entry {
	e, _ := q.unused.Get().(*entry)
	if e == nil {
		e = &entry{done: make(chan error, 1)}
	}
	e.record = record
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries = append(q.entries, e)
	return e
}

// take empties the queue. The caller must settle what it returns, which is valid until
// the next call.
func (q *queue) take() []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries, q.spare = q.spare[:0], q.entries
	return q.spare
}

// remove reports whether e was still in the queue.
func (q *queue) remove(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.entries, e)
	if i < 0 {
		return false
	}
	q.entries = slices.Delete(q.entries, i, i+1)
	return true
}

// free takes e back, whose result has been received or will never be sent.
func (q *queue) free(e *entry) {
	e.record = nil
	q.unused.Put(e)
}

func settle(group []*entry, err error) {
	for _, e := range group {
		e.done <- err
	}
}

var (
	errNotRunning = errors.New("the exporter is not running")
	errPanicked   = errors.New("the write of a group of records panicked")
)

// append returns nil when the record is where the configuration wants it. A write that
// has begun is waited for, also if ctx ends.
func (e *Exporter) append(ctx context.Context, path string, record []byte) error {
	if e.cfg.buffered() || e.groups != nil {
		return e.appendAlone(ctx, path, record)
	}
	own := e.queue.add(record)
	select {
	case err := <-own.done:
		e.queue.free(own)
		return err
	case e.turn <- struct{}{}:
		e.writeQueue()
	case <-ctx.Done():
		if e.queue.remove(own) {
			e.queue.free(own)
			return e.waitError(ctx)
		}
	}
	err := <-own.done
	e.queue.free(own)
	return err
}

// writeQueue writes what is in the queue. The caller has locked turn, which it unlocks.
func (e *Exporter) writeQueue() {
	defer e.unlock()
	e.commit(e.queue.take())
}

// appendAlone appends one record: to those in memory, or to the file of its group.
func (e *Exporter) appendAlone(ctx context.Context, path string, record []byte) error {
	if err := e.lock(ctx); err != nil {
		return err
	}
	defer e.unlock()
	if !e.open {
		return errNotRunning
	}
	return e.out.appendTo(path, record)
}

// commit writes a group, with a write for each maxPendingBytes, and settles it. The
// caller holds turn.
func (e *Exporter) commit(group []*entry) {
	defer func() {
		if len(group) > 0 {
			e.file.pending = e.file.pending[:0]
			settle(group, errPanicked)
		}
	}()
	finish := func(n int, err error) {
		settle(group[:n], err)
		group = group[n:]
	}
	if !e.open {
		finish(len(group), errNotRunning)
		return
	}
	for pending := 0; pending < len(group); {
		record := group[pending].record
		if pending > 0 && !e.file.fits(len(record)) {
			finish(pending, e.file.flush())
			pending = 0
		}
		switch err := e.file.append(record); {
		case err != nil:
			settle(group[pending:pending+1], err)
			group = slices.Delete(group, pending, pending+1)
		case len(e.file.pending) == 0: // it was written immediately, and nothing is before it
			finish(1, nil)
		default:
			pending++
		}
	}
	finish(len(group), e.file.flush())
}
