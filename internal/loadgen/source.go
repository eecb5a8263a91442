package loadgen

import (
	"fmt"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/otlp"
)

const (
	// maxTemplates bounds the number of templates of one signal, maxPoolBytes the size
	// of those of all signals: if the templates do not fit in the caches of the
	// processor, it costs more to patch them than to send them. There is at least one
	// template for each signal.
	maxTemplates = 64
	maxPoolBytes = 8 << 20
	// MaxRequestBytes is the maximum size of a request, which clients should not
	// exceed (OTLP specification, "Message Size").
	MaxRequestBytes = 64 << 20
	// MaxBatchItems bounds the items of a request.
	MaxBatchItems = 1 << 18
)

// fixedTime is the time of a deterministic Source.
func fixedTime() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// Shape describes the requests of a Source.
type Shape struct {
	// Signals alternate from request to request.
	Signals []otlp.Signal
	// BatchItems is the number of items in a request, ItemBytes the size of an item in
	// bytes; 0 means any size. An item is not smaller than the minimum of its signal.
	// For profiles it is the size of the request, including the dictionary, divided by
	// the number of samples.
	BatchItems, ItemBytes int
	// Seed is the seed of the random numbers.
	Seed uint64
	// Deterministic requests have fixed times: request n has the same bytes in every
	// run.
	Deterministic bool
}

// tooLarge returns an error if requests of n bytes are too large.
func (s Shape) tooLarge(n int) error {
	if n <= MaxRequestBytes {
		return nil
	}
	return fmt.Errorf("%d items of %d bytes exceed %d bytes in a request: make the batch or the items smaller",
		s.BatchItems, n/s.BatchItems, MaxRequestBytes)
}

// Source generates requests. It is safe for concurrent use.
type Source struct {
	fixed bool
	// pools are in the order of Shape.Signals, and equally long. Templates with one index
	// have the same scene. A round is a request of each signal, from those.
	pools [][]*template

	mu     sync.Mutex
	rounds [64]round // the last ones, by number
}

// round is when a round began, for all of its requests: so the times of logs are within
// those of their spans.
type round struct{ number, nanos uint64 }

// began returns when a round began: now, if this is its first request.
func (s *Source) began(number, nanos uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.rounds[number%uint64(len(s.rounds))]
	if r.number != number+1 { // 0 is unused
		*r = round{number + 1, nanos}
	}
	return r.nanos
}

// NewSource builds the templates.
func NewSource(shape Shape) (*Source, error) {
	s := &Source{fixed: shape.Deterministic}
	base := fixedTime()
	if !s.fixed {
		base = time.Now()
	}
	s.pools = make([][]*template, len(shape.Signals))
	number := maxTemplates
	for i := 0; i < number; i++ {
		largest, before := 0, map[otlp.Signal]int{}
		for k, signal := range shape.Signals {
			// A duplicate of a signal has scenes of its own.
			t, err := newTemplate(shape, signal, i+before[signal]*maxTemplates, base)
			if err != nil {
				return nil, err
			}
			s.pools[k] = append(s.pools[k], t)
			largest = max(largest, len(t.bytes))
			before[signal]++
		}
		if i == 0 { // as many as the largest of the first allows
			number = min(max(maxPoolBytes/len(shape.Signals)/largest, 1), maxTemplates)
		}
	}
	return s, nil
}

// template is a request that is patched and sent again and again.
type template struct {
	signal otlp.Signal
	items  int
	patches

	mu    sync.Mutex
	inUse bool   // by a Request
	bytes []byte // written under mu, while not in use
	salt  uint64 // the current salt of the ids
	steps uint64 // how often the request has grown
	nanos uint64 // the current time, in nanoseconds since the Unix epoch
}

func newTemplate(shape Shape, signal otlp.Signal, i int, base time.Time) (*template, error) {
	kind := kinds()[signal]
	t := &template{signal: signal, nanos: uint64(base.UnixNano())}
	var deltas []growth
	t.bytes, deltas = write(kind.write, shape, uint64(signal)<<32|uint64(i), t.nanos)
	if err := shape.tooLarge(len(t.bytes)); err != nil {
		return nil, fmt.Errorf("%s: %w", signal, err)
	}
	var err error
	if t.items, err = otlp.Check(signal, t.bytes); err != nil {
		return nil, fmt.Errorf("check the generated request: %w", err)
	}
	t.find(kind.sites, t.bytes, 0)
	if err := t.begin(t.bytes, deltas); err != nil {
		return nil, fmt.Errorf("%s: %w", signal, err)
	}
	return t, nil
}

// Take returns request n with its times moved to now. The caller must call Return.
func (s *Source) Take(n uint64, now time.Time) Request {
	pool := s.pools[n%uint64(len(s.pools))]
	turn := n / uint64(len(s.pools))
	t := pool[turn%uint64(len(pool))]
	nanos := uint64(now.UnixNano())
	if len(s.pools) > 1 {
		nanos = s.began(turn, nanos)
	}
	steps := turn / uint64(len(pool))
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.fixed {
		nanos = t.nanos
	}
	request := Request{Signal: t.signal, Items: t.items}
	if t.inUse { // use a copy
		request.copied = bufpool.Get(len(t.bytes))
		request.Bytes = *request.copied
		copy(request.Bytes, t.bytes)
	} else {
		t.inUse = true
		request.home, request.Bytes = t, t.bytes
	}
	t.mix(request.Bytes, t.salt^salt(turn))
	t.move(request.Bytes, nanos-t.nanos)
	if steps != t.steps {
		t.grow(request.Bytes, steps)
	}
	if request.home != nil {
		t.salt, t.nanos, t.steps = salt(turn), nanos, steps
	}
	return request
}

// Request is a request to send.
type Request struct {
	Signal otlp.Signal
	Items  int
	// Bytes can be read until Return.
	Bytes  []byte
	home   *template // nil: a copy
	copied *[]byte
}

// Return ends the use of the request. It must be called once.
func (l Request) Return() {
	if l.home == nil {
		bufpool.Put(l.copied)
		return
	}
	l.home.mu.Lock()
	defer l.home.mu.Unlock()
	l.home.inUse = false
}
