package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// The defaults of DestinationConfig.
const (
	defaultMaxInFlight = 10
	defaultMergeItems  = 8192
	defaultMergeBytes  = 2 << 20
	maxInFlight        = 32 // so that what is in flight fits into the state of the cursor
)

// DestinationConfig is what Log.Destination is given. The zero value of all but Name,
// Signal and Next is its default.
type DestinationConfig struct {
	// Name is that of the cursor: the signal and the exporter.
	Name   string
	Signal otlp.Signal
	// Next sends a batch, as Config.Next does; several at a time.
	Next pipeline.Consumer
	// From is where the cursor begins if it is new.
	From journal.From
	// MaxInFlight is how many requests are sent at a time at most, default 10, at most
	// 32. While the destination fails it is one.
	MaxInFlight int
	// InitialBackoff and MaxBackoff are as in Config.
	InitialBackoff, MaxBackoff time.Duration
	// Multiplier is how much the mean of waits grows with each failure, 2 if it is below
	// 1; Randomization is the part by which a wait differs from it at most, a half if nil.
	Multiplier    float64
	Randomization *float64
	// GiveUpAfter is how long a request is tried before it goes to DeadLetters. 0:
	// forever; below 0: it is tried once.
	GiveUpAfter time.Duration
	// Merge says how requests that wait are merged.
	Merge Merge
	// MaxHeldItems, MaxHeldRequests and MaxHeldBytes bound what waits for the
	// destination: beyond, Log.Consume refuses. 0: the bound of the journal alone.
	MaxHeldItems, MaxHeldRequests, MaxHeldBytes uint64
	// RequestItems is for a bound in requests as they are after merging: those that are held
	// count as no more than one for so many items. 0: each counts.
	RequestItems uint64
	// Block makes Log.Consume wait for room below these bounds instead of refusing.
	Block bool
	// DeadLetters keeps a request that is not sent any more. nil means that it has it,
	// durably; until then the request stays. Without it, such requests are counted, as
	// Rejected, and logged only.
	DeadLetters func(context.Context, DeadLetter) error
	// RequestIDs gives each request an id, which Next finds with pipeline.RequestID. The
	// same records have the same id whenever they are sent again, also after a restart or
	// a power cut, and no other request has it. It costs a sync of the disk for each
	// request.
	RequestIDs bool
	// Drain makes Shutdown send what is held, for a journal in memory: what is left when
	// its context ends is lost.
	Drain bool
	// Memory is the budget for requests that were read from the journal. nil: no bound.
	Memory *admission.Budget
	// Logger gets outages and refusals. nil is silence.
	Logger *slog.Logger
	// Observer measures; nil: nobody does.
	Observer Observer

	divide otlp.SplitLimits // by Merge
}

// Merge says how requests that follow each other are merged into one: those that wait
// anyway, and without delay, unless MinItems and Wait ask for it. Only requests whose
// records have the same metadata and identity are merged; those with other ones may lie
// between them.
type Merge struct {
	// MaxItems and MaxBytes bound a merged request, default 8192 and 2 MiB. If nothing is
	// set, requests of 128 KiB and more are not merged, nor are those of 4 KiB and more that
	// would have to be compressed again for it. A request
	// that is larger by itself is divided if the bound is set, but not by the default.
	MaxItems, MaxBytes int
	// MinItems and MinBytes are what a request waits for, for at most Wait. 0: it does
	// not.
	MinItems, MinBytes int
	Wait               time.Duration
	// Whole leaves requests that are larger than MaxItems or MaxBytes undivided.
	Whole bool
	// Sent is called when a request is sent for the first time, and for each part that is
	// settled of one that is divided. nil: nobody counts.
	Sent func(why MergeTrigger, items, bytes int)

	bounded bool // MaxItems or MaxBytes was set
}

// asked reports whether merging was asked for. By default it is done where it is cheaper
// than requests on their own.
func (m *Merge) asked() bool { return m.bounded || m.MinItems > 0 || m.MinBytes > 0 }

// sentAlone is the size from which on a request is not merged by default: to copy it costs
// more than another request.
const sentAlone = 128 << 10

// compressedAlone is sentAlone for requests that can be sent in the compressed bytes that
// they came in, but not end to end: merged, they would have to be compressed again.
const compressedAlone = 4 << 10

// DeadLetter is a request that is not sent any more.
type DeadLetter struct {
	Destination string
	Record      []byte // as package record has it; borrowed
	Items       uint64
	Err         error // why
}

func (c DestinationConfig) orDefaults() DestinationConfig {
	queue := Config{InitialBackoff: c.InitialBackoff, MaxBackoff: c.MaxBackoff, Logger: c.Logger, Observer: c.Observer}.orDefaults()
	c.InitialBackoff, c.MaxBackoff, c.Logger, c.Observer = queue.InitialBackoff, queue.MaxBackoff, queue.Logger, queue.Observer
	if c.MaxInFlight <= 0 {
		c.MaxInFlight = defaultMaxInFlight
	}
	c.MaxInFlight = min(c.MaxInFlight, maxInFlight)
	c.Merge.bounded = c.Merge.MaxItems > 0 || c.Merge.MaxBytes > 0
	c.divide = otlp.SplitLimits{MaxItems: max(c.Merge.MaxItems, 0), MaxBytes: max(c.Merge.MaxBytes, 0)}
	if c.Merge.Whole {
		c.divide = otlp.SplitLimits{}
	}
	if c.Merge.MaxItems <= 0 {
		c.Merge.MaxItems = max(defaultMergeItems, c.Merge.MinItems)
	}
	if c.Merge.MaxBytes <= 0 {
		c.Merge.MaxBytes = max(defaultMergeBytes, c.Merge.MinBytes)
	}
	return c
}

// pace is the backoff that c asks for.
func (c *DestinationConfig) pace() pace {
	p := newPace(c.InitialBackoff, c.MaxBackoff)
	if c.Multiplier >= 1 {
		p.factor = c.Multiplier
	}
	if c.Randomization != nil {
		p.spread = *c.Randomization
	}
	return p
}

// givesUp reports whether a request that was begun at a time was tried for too long.
func (c *DestinationConfig) givesUp(begun time.Time) bool {
	return c.GiveUpAfter < 0 || c.GiveUpAfter > 0 && time.Since(begun) >= c.GiveUpAfter
}

// Destination sends what a Log has to one consumer.
//
//	cursor ─► dispatcher ─┬─► job: read, merge, send ─┬─► acknowledged
//	          forms jobs  └─► job: …                  ├─► dead letter, acknowledged
//	              ▲                                   │
//	              └───────── later, or in halves ─────┘
//
// A job is one or several records that are sent as one request. A job that is to be sent
// again holds no memory but its place. A job of several records that is refused for good
// is halved until the record is found that is refused. A record that is too large is sent
// in parts, one after the other, and acknowledged when all are settled.
type Destination struct {
	cfg    DestinationConfig
	cursor *journal.Cursor
	keep   record.Keep // of parts that are dead letters

	ctx     context.Context // of jobs: ends when Shutdown has no more time
	cancel  context.CancelFunc
	stopped context.Context // of the dispatcher: ends when Shutdown is called
	stop    context.CancelFunc
	// unblocked ends when Consume waits for room no more.
	unblocked context.Context
	unblock   context.CancelFunc
	wake      chan struct{} // a job has ended
	wg        sync.WaitGroup

	// Of the dispatcher.
	more    <-chan struct{} // closed when there may be another entry; nil: there may be
	forming []*forming      // one of each tag, the oldest first

	warnings lograte.Limiter

	mu       sync.Mutex
	started  bool
	stopping bool
	draining bool // nothing waits for more
	tally    tally
	pace     pace
	outage   outage
	limit    int           // requests at a time, at present
	sizeMax  int           // the largest request that the destination accepts, as it has said; 0: unknown
	room     chan struct{} // closed when something was acknowledged
	entering amount        // what may be in the journal soon, by admit, or is there since a moment ago
	jobs     map[*job]bool
	retries  []*job // of jobs, those that wait
	restored []span // what an earlier process had in flight and what is not in jobs yet, in order
}

// Destination adds a destination. It sends from Start on.
func (l *Log) Destination(cfg DestinationConfig) (*Destination, error) {
	cfg = cfg.orDefaults()
	cursor, err := l.journal.Cursor(cfg.Name, cfg.From)
	if err != nil {
		return nil, err
	}
	d := &Destination{cfg: cfg, cursor: cursor, keep: l.keep, wake: make(chan struct{}, 1),
		pace: cfg.pace(), limit: cfg.MaxInFlight, room: make(chan struct{}), jobs: map[*job]bool{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.stopped, d.stop = context.WithCancel(d.ctx)
	d.unblocked, d.unblock = context.WithCancel(d.stopped)
	if err := d.restore(); err != nil {
		return nil, fmt.Errorf("destination %q: %w", cfg.Name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.destinations = append(l.destinations, d)
	return d, nil
}

// restore reads the state of the cursor. One that cannot be read costs the counts, not
// the data.
func (d *Destination) restore() (err error) {
	account := d.cursor.Account()
	fresh := len(account.State) == 0
	if d.tally, d.restored, err = parseState(account.State); err != nil {
		d.cfg.Logger.Error("the counts of a destination are lost, and begin again", slog.Any("error", err))
		fresh = true
	}
	if fresh {
		d.tally.start = account.Totals.Units - account.Held.Units - account.Dropped.Units - account.Damaged.Units
		return d.cursor.SetState(appendState(nil, d.tally, nil), true)
	}
	return nil
}

// admit counts a batch as entering, or returns an error if the destination has as much as
// it may, or waits.
func (d *Destination) admit(ctx context.Context, b *pipeline.Batch) error {
	if !d.cfg.bounded() {
		return nil
	}
	for {
		d.mu.Lock()
		room, err := d.room, d.full(b)
		if err == nil {
			d.entering.add(b)
		}
		d.mu.Unlock()
		if err == nil || !d.cfg.Block {
			return err
		}
		select {
		case <-room:
		case <-d.unblocked.Done():
			return err
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
}

// Unblock ends the waits for room of Log.Consume, from now on, for a process that is to
// end: what does not fit is its sender's.
func (d *Destination) Unblock() { d.unblock() }

// entered ends what admit has begun: the journal has the batch, or has refused it.
func (d *Destination) entered(b *pipeline.Batch) {
	if !d.cfg.bounded() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entering.sub(b)
	if d.cfg.Block {
		d.signalRoom()
	}
}

// signalRoom wakes those that wait for room. The mutex is held.
func (d *Destination) signalRoom() {
	close(d.room)
	d.room = make(chan struct{})
}

// amount is how much of batches there is.
type amount struct{ requests, items, bytes uint64 }

func (a *amount) add(b *pipeline.Batch) {
	a.requests, a.items, a.bytes = a.requests+1, a.items+uint64(b.Items()), a.bytes+uint64(len(b.Bytes()))
}

func (a *amount) sub(b *pipeline.Batch) {
	a.requests, a.items, a.bytes = a.requests-1, a.items-uint64(b.Items()), a.bytes-uint64(len(b.Bytes()))
}

// full returns an error if the destination has as much as it may. The mutex is held.
func (d *Destination) full(b *pipeline.Batch) error {
	held, in := d.cursor.Held(), d.entering
	return d.cfg.room(held.Records+in.requests, held.Units+in.items, held.Bytes+in.bytes, b)
}

func (c *DestinationConfig) bounded() bool {
	return c.MaxHeldItems > 0 || c.MaxHeldRequests > 0 || c.MaxHeldBytes > 0
}

// ErrQueueFull is wrapped by the error for a batch that is beyond a bound of
// DestinationConfig.
var ErrQueueFull = errors.New("the queue is full")

// room returns an error if b would be too much beside what is held. Where nothing is held
// any batch is taken: one that is beyond a bound by itself would never be.
func (c *DestinationConfig) room(requests, items, bytes uint64, b *pipeline.Batch) error {
	switch {
	case requests == 0:
		return nil
	case c.MaxHeldItems > 0 && items+uint64(b.Items()) > c.MaxHeldItems:
		return fmt.Errorf("%w: %s has %d items, at most %d", ErrQueueFull, c.Name, items, c.MaxHeldItems)
	case c.MaxHeldRequests > 0 && c.merged(requests, items)+1 > c.MaxHeldRequests:
		return fmt.Errorf("%w: %s has %d requests, at most %d", ErrQueueFull, c.Name, c.merged(requests, items), c.MaxHeldRequests)
	case c.MaxHeldBytes > 0 && bytes+uint64(len(b.Bytes())) > c.MaxHeldBytes:
		return fmt.Errorf("%w: %s has %d bytes, at most %d", ErrQueueFull, c.Name, bytes, c.MaxHeldBytes)
	}
	return nil
}

// merged is as how many requests those that are held count.
func (c *DestinationConfig) merged(requests, items uint64) uint64 {
	if c.RequestItems == 0 {
		return requests
	}
	return min(requests, (items+c.RequestItems-1)/c.RequestItems)
}

// HeldRequests is as how many requests those that are held count for MaxHeldRequests.
func (d *Destination) HeldRequests() uint64 {
	held := d.cursor.Held()
	return d.cfg.merged(held.Records, held.Units)
}

// Ledger returns the ledger at this moment.
func (d *Destination) Ledger() Ledger {
	a := d.cursor.Account()
	t, _, _ := parseState(a.State) // this process has written it
	return Ledger{Accepted: a.Totals.Units - t.start, Delivered: t.delivered, Rejected: t.rejected, DeadLettered: t.dead,
		Dropped: a.Dropped.Units, Damaged: a.Damaged.Units, Held: a.Held.Units, HeldRequests: a.Held.Records, HeldBytes: a.Held.Bytes}
}

// Name returns the name of the cursor.
func (d *Destination) Name() string { return d.cfg.Name }

// Start begins to send. Shutdown joins what it starts.
func (d *Destination) Start() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.started && !d.stopping {
		d.started = true
		d.wg.Go(d.dispatch)
	}
}

// Shutdown begins nothing new, unless Drain is set, waits for what is being sent until
// ctx ends, and cuts that off then. What was not delivered stays in the journal. When it
// returns nothing is being sent. It may be called several times.
func (d *Destination) Shutdown(ctx context.Context) error {
	if d.cfg.Drain && d.isRunning() {
		d.Drain(ctx)
	}
	err := d.shutdown(ctx)
	if held := d.cursor.Held(); d.cfg.Drain && held.Records > 0 {
		lost := fmt.Errorf("destination %q: %d requests with %d items were not sent in time, and are lost: the queue was in memory", d.cfg.Name, held.Records, held.Units)
		d.cfg.Observer.Outcome(ctx, d.cfg.Signal, int(held.Units), int(held.Units), pipeline.Classify(lost))
		return lost
	}
	return err
}

func (d *Destination) isRunning() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.started && !d.stopping
}

func (d *Destination) shutdown(ctx context.Context) error {
	d.mu.Lock()
	d.stopping = true
	d.mu.Unlock()
	d.stop()
	joined := make(chan struct{})
	go func() { d.wg.Wait(); close(joined) }()
	var err error
	select {
	case <-joined:
	case <-ctx.Done():
		if d.isIdle() {
			break
		}
		err = fmt.Errorf("destination %q: requests in flight were cut off; they stay in the journal: %w", d.cfg.Name, context.Cause(ctx))
	}
	d.cancel()
	<-joined
	return err
}

// isIdle reports whether nothing is being sent.
func (d *Destination) isIdle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.jobs) == len(d.retries)
}

// dispatch is the dispatcher: it gives jobs to goroutines that stay, since a new one has
// to grow its stack each time. There are as many as jobs were in flight at most.
func (d *Destination) dispatch() {
	jobs := make(chan *job)
	defer close(jobs)
	for workers := 0; ; {
		j := d.nextJob()
		if j == nil {
			return
		}
		if workers == d.cfg.MaxInFlight {
			jobs <- j // one of them has no job, or has just ended it
			continue
		}
		select {
		case jobs <- j:
		default:
			workers++
			d.wg.Go(func() {
				d.run(j)
				for j := range jobs {
					d.run(j)
				}
			})
		}
	}
}

// nextJob waits for a job that may be sent now. It returns nil at the end.
func (d *Destination) nextJob() *job {
	for d.stopped.Err() == nil {
		j, wait, full := d.due()
		busy := full || wait > 0
		if j == nil && !busy {
			j, wait = d.form(time.Now())
		}
		if j != nil {
			return j
		}
		d.pause(busy, wait)
	}
	return nil
}

// due returns a job that is to be sent again now. Otherwise wait is how long nothing may
// be sent, and full says that no further one may be at present.
func (d *Destination) due() (j *job, wait time.Duration, full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if inFlight := len(d.jobs) - len(d.retries); inFlight >= d.limit {
		return nil, 0, true
	}
	if wait = time.Until(d.pace.notBefore); wait > 0 {
		return nil, wait, false
	}
	if len(d.retries) == 0 {
		return nil, 0, len(d.jobs) >= d.cfg.MaxInFlight
	}
	j = d.retries[0]
	d.retries = slices.Delete(d.retries, 0, 1)
	return j, 0, false
}

// pause waits for something to change, or for wait if that is above 0. busy says that
// further entries do not matter now.
func (d *Destination) pause(busy bool, wait time.Duration) {
	more := d.more
	if busy {
		more = nil
	}
	var late <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-more:
	case <-d.wake:
	case <-late:
	case <-d.stopped.Done():
	}
}

// signal makes the dispatcher look again.
func (d *Destination) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
