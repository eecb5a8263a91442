package reporter

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// QueueStats are the accounts of one queue of a GRPCReporter, in entries since it
// was started. At any moment
//
//	Reported = Acknowledged + Queued + Overwritten + Dropped
type QueueStats struct {
	// Reported is how many entries were handed over.
	Reported uint64
	// Acknowledged is how many of them the agent has.
	Acknowledged uint64
	// Queued is how many wait, or are being sent.
	Queued uint64
	// Overwritten is how many were evicted for newer ones, or came after Stop.
	Overwritten uint64
	// Dropped is how many the agent refused for good, or the protocol has no room
	// for, or were not sent before Stop's deadline.
	Dropped uint64
}

// message is what entries are sent as.
type message interface {
	proto.Message
	collectionagentv1.Entry
}

// lane is the way of one type of entries: a ring that Report calls fill, and the
// batch that was taken out of it to be sent. A batch that cannot be sent yet
// stays, and goes before what is in the ring.
//
//	put ─► queue ─take─► batch ─next─► request ─► sender
//	         └─► overwritten            └─► acknowledged, dropped
type lane[T any, M message] struct {
	name     string
	toWire   func(T) M
	listIn   func(*collectionagentv1.ReportRequest) *[]M
	log      *slog.Logger
	maxBatch int

	mu     sync.Mutex
	queue  ring[T]
	batch  []T    // written by the sender alone
	direct uint64 // entries that are sent without having been queued
	stats  QueueStats
	lost   uint64 // overwritten since the last call of sinceLast
	warned bool   // of the ring being full, since it was emptied
	closed bool
}

// newLane makes the lane for entries called name, whose size is the field of
// Config.
func newLane[T any, M message](name, field string, size uint32, log *slog.Logger, toWire func(T) M,
	listIn func(*collectionagentv1.ReportRequest) *[]M) (*lane[T, M], error) {
	if size == 0 {
		return nil, fmt.Errorf("failed to setup queue for %s: unsupported size of fifo: 0 (Config.%s)", name, field)
	}
	most := int(min(size, math.MaxInt32))
	return &lane[T, M]{name: name, toWire: toWire, listIn: listIn, log: log, maxBatch: most, queue: ring[T]{max: most}}, nil
}

// put queues an entry, which is the lane's from then on.
func (l *lane[T, M]) put(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Reported++
	if !l.closed && !l.queue.push(v) {
		return
	}
	l.stats.Overwritten++
	l.lost++
	if !l.warned && !l.closed {
		l.warned = true
		l.log.Warn("a queue of the reporter is full, its oldest entries are overwritten", "queue", l.name, "entries", l.maxBatch)
	}
}

// take makes a batch of what is queued. The batch before must be settled.
func (l *lane[T, M]) take() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batch = l.queue.drain()
	l.warned = false
}

// flush sends what is left of the batch before, and what is queued now. It
// reports whether all was settled; otherwise ctx has ended.
func (l *lane[T, M]) flush(ctx context.Context, s *sender) bool {
	if !l.sendBatch(ctx, s) {
		return false
	}
	l.take()
	return l.sendBatch(ctx, s)
}

func (l *lane[T, M]) sendBatch(ctx context.Context, s *sender) bool {
	// The agent may take less than we may send. That is determined again each time:
	// it may have been another agent, or one that was only short of something.
	limit := s.maxBytes
	for len(l.batch) > 0 {
		request, n := l.next(s, limit)
		if n == 0 {
			continue // an entry that cannot be sent is gone
		}
		switch s.deliver(ctx, request, l.name) {
		case taken:
			l.settle(n, &l.stats.Acknowledged)
		case refusedForGood:
			l.settle(n, &l.stats.Dropped)
		case tooLarge:
			if n == 1 {
				s.logDropped(l.name, "the agent has no room for it")
				l.settle(1, &l.stats.Dropped)
			} else {
				limit = proto.Size(request) / 2
			}
		case ended:
			return false
		}
	}
	return true
}

// requestBytes is what a request has beside its lists: the instance's id and the
// sequence number.
const requestBytes = 32

// next makes a request of the first n entries of the batch: as many as fit into
// limit bytes, or one that fits into a message. A first entry that cannot be sent
// at all is dropped, and n is 0.
func (l *lane[T, M]) next(s *sender, limit int) (request *collectionagentv1.ReportRequest, n int) {
	request = &collectionagentv1.ReportRequest{}
	list := l.listIn(request)
	left := limit - requestBytes
	for _, v := range l.batch {
		m := l.toWire(v)
		size := 1 + protowire.SizeBytes(proto.Size(m)) // every list has a tag of one byte
		fault := m.Check()
		if n > 0 && (fault != nil || size > left) {
			break
		}
		if fault != nil || size > s.maxBytes-requestBytes {
			why := fmt.Sprintf("it has %d bytes, a message may have %d", size, s.maxBytes)
			if fault != nil {
				why = fault.Error()
			}
			s.logDropped(l.name, why)
			l.settle(1, &l.stats.Dropped)
			return nil, 0
		}
		*list = append(*list, m)
		left -= size
		n++
	}
	return request, n
}

// settle takes the first n entries off the batch. count is where they are counted.
func (l *lane[T, M]) settle(n int, count *uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*count += uint64(n)
	clear(l.batch[:n])
	if l.batch = l.batch[n:]; len(l.batch) == 0 {
		l.batch = nil
	}
}

// begin opens the account of an entry that is sent without being queued; the
// result closes it.
func (l *lane[T, M]) begin() (end func(sent bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Reported++
	l.direct++
	return func(sent bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.direct--
		if sent {
			l.stats.Acknowledged++
		} else {
			l.stats.Dropped++
		}
	}
}

// close refuses what comes from now on.
func (l *lane[T, M]) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// abandon drops what is left, and returns how many entries that were.
func (l *lane[T, M]) abandon() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.batch) + l.queue.n
	l.batch, l.queue.items, l.queue.n = nil, nil, 0
	l.stats.Dropped += uint64(n)
	return n
}

// sinceLast returns how many entries were overwritten since it was called before.
func (l *lane[T, M]) sinceLast() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.lost
	l.lost = 0
	return uint32(min(n, math.MaxUint32))
}

func (l *lane[T, M]) account() QueueStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Queued = uint64(l.queue.n+len(l.batch)) + l.direct
	return s
}
