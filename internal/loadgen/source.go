package loadgen

import (
	"fmt"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/otlp"
)

const (
	// maxTemplates bounds the pool of one signal by number, maxPoolBytes those of
	// all signals together by size: a pool that does not stay in the processor's
	// caches costs more to patch than to send. There is at least one template a
	// signal.
	maxTemplates = 64
	maxPoolBytes = 8 << 20
	// MaxRequestBytes is the largest request: what clients should not exceed
	// (OTLP specification, "Message Size").
	MaxRequestBytes = 64 << 20
	// MaxBatchItems bounds the items of a request.
	MaxBatchItems = 1 << 18
)

// fixedTime is where the times of a deterministic Source stand.
func fixedTime() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// Shape is what a Source makes.
type Shape struct {
	// Signals take turns, request by request.
	Signals []otlp.Signal
	// BatchItems is how many items a request has, ItemBytes how large one should
	// be; 0 leaves it as it comes. No item gets smaller than what its signal
	// needs at the least. For profiles it is the request's size by its samples,
	// the dictionary included.
	BatchItems, ItemBytes int
	// Seed is where all else comes from.
	Seed uint64
	// Deterministic leaves the times fixed: then request n has the same bytes in
	// every run.
	Deterministic bool
}

// tooLarge refuses requests of n bytes.
func (s Shape) tooLarge(n int) error {
	if n <= MaxRequestBytes {
		return nil
	}
	return fmt.Errorf("%d items of %d bytes are more than %d bytes in a request: make the batch or the items smaller",
		s.BatchItems, n/s.BatchItems, MaxRequestBytes)
}

// Source makes requests. It is safe for concurrent use.
type Source struct {
	fixed bool
	pools [][]*template // as Shape.Signals
}

// NewSource builds the templates.
func NewSource(shape Shape) (*Source, error) {
	s := &Source{fixed: shape.Deterministic}
	base := fixedTime()
	if !s.fixed {
		base = time.Now()
	}
	for _, signal := range shape.Signals {
		pool, err := newPool(shape, signal, base)
		if err != nil {
			return nil, err
		}
		s.pools = append(s.pools, pool)
	}
	return s, nil
}

// newPool builds as many templates of one signal as the size of the first
// allows.
func newPool(shape Shape, signal otlp.Signal, base time.Time) (pool []*template, err error) {
	number := maxTemplates
	for i := 0; i < number; i++ {
		t, err := newTemplate(shape, signal, i, base)
		if err != nil {
			return nil, err
		}
		pool = append(pool, t)
		if i == 0 {
			fit := maxPoolBytes / len(shape.Signals) / len(t.bytes)
			number = min(max(fit, 1), maxTemplates)
		}
	}
	return pool, nil
}

// template is a request that is patched, lent and returned, time after time.
type template struct {
	signal otlp.Signal
	items  int
	patches

	mu    sync.Mutex
	lent  bool
	bytes []byte // written under mu, while not lent
	salt  uint64 // what the ids are mixed with now
	nanos uint64 // where the times are now, as unix nanoseconds
}

func newTemplate(shape Shape, signal otlp.Signal, i int, base time.Time) (*template, error) {
	kind := kinds()[signal]
	t := &template{signal: signal, nanos: uint64(base.UnixNano())}
	t.bytes = write(kind.write, shape, uint64(signal)<<32|uint64(i), t.nanos)
	if err := shape.tooLarge(len(t.bytes)); err != nil {
		return nil, fmt.Errorf("%s: %w", signal, err)
	}
	var err error
	if t.items, err = otlp.Check(signal, t.bytes); err != nil {
		return nil, fmt.Errorf("the generated request is wrong: %w", err)
	}
	t.find(kind.sites, t.bytes, 0)
	return t, nil
}

// Take lends request n, its times moved to now. Give it back with Return.
func (s *Source) Take(n uint64, now time.Time) Loan {
	pool := s.pools[n%uint64(len(s.pools))]
	turn := n / uint64(len(s.pools))
	t := pool[turn%uint64(len(pool))]
	nanos := uint64(now.UnixNano())
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.fixed {
		nanos = t.nanos
	}
	loan := Loan{Signal: t.signal, Items: t.items}
	if t.lent { // whoever has it is slow: a copy will do
		loan.copied = bufpool.Get(len(t.bytes))
		loan.Bytes = *loan.copied
		copy(loan.Bytes, t.bytes)
	} else {
		t.lent = true
		loan.home, loan.Bytes = t, t.bytes
	}
	t.mix(loan.Bytes, t.salt^salt(n))
	t.move(loan.Bytes, nanos-t.nanos)
	if loan.home != nil {
		t.salt, t.nanos = salt(n), nanos
	}
	return loan
}

// Loan is a request to send.
type Loan struct {
	Signal otlp.Signal
	Items  int
	// Bytes may be read until Return.
	Bytes  []byte
	home   *template // nil: a copy
	copied *[]byte
}

// Return gives the request back. Call it once.
func (l Loan) Return() {
	if l.home == nil {
		bufpool.Put(l.copied)
		return
	}
	l.home.mu.Lock()
	defer l.home.mu.Unlock()
	l.home.lent = false
}
