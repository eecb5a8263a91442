package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// logRequest is a request with a log record for each body.
func logRequest(bodies ...string) []byte {
	scope := &logs.ScopeLogs{}
	for _, b := range bodies {
		scope.LogRecords = append(scope.LogRecords, &logs.LogRecord{Body: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: b}}})
	}
	b, err := proto.Marshal(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{scope}}}})
	if err != nil {
		panic(err)
	}
	return b
}

// bodiesOf are the bodies of all log records of a request.
func bodiesOf(request []byte) (bodies []string) {
	var r collogs.ExportLogsServiceRequest
	if err := proto.Unmarshal(request, &r); err != nil {
		panic(err)
	}
	for _, rl := range r.ResourceLogs {
		for _, sl := range rl.ScopeLogs {
			for _, l := range sl.LogRecords {
				bodies = append(bodies, l.Body.GetStringValue())
			}
		}
	}
	return bodies
}

// backend is a destination that keeps what it takes.
type backend struct {
	answer func(call int, bodies []string) error // nil: it takes everything
	can    pipeline.Capabilities

	mu       sync.Mutex
	calls    int
	requests [][]byte // of all calls
	clients  []*pipeline.Client
	encoded  []pipeline.Encoded
	unequal  []error        // what is wrong with compressed bytes
	taken    map[string]int // body to how many times
}

func (d *backend) Capabilities() pipeline.Capabilities { return d.can }

// decompressed returns what is wrong with the compressed bytes of a batch.
func decompressed(b *pipeline.Batch) error {
	e := b.Encoded()
	if e.Codec == pipeline.CodecNone {
		return nil
	}
	plain, err := testkit.Decompress(e.Codec, e.Bytes)
	if err == nil && !bytes.Equal(plain, b.Bytes()) {
		err = fmt.Errorf("%d bytes of %s are not the %d of the batch", len(plain), e.Codec, len(b.Bytes()))
	}
	return err
}

func (d *backend) Consume(ctx context.Context, b *pipeline.Batch) error {
	bodies := bodiesOf(b.Bytes())
	d.mu.Lock()
	e := b.Encoded()
	e.Bytes = bytes.Clone(e.Bytes)
	d.encoded = append(d.encoded, e)
	if err := decompressed(b); err != nil {
		d.unequal = append(d.unequal, err)
	}
	call, answer := d.calls, d.answer
	d.calls++
	d.requests, d.clients = append(d.requests, bytes.Clone(b.Bytes())), append(d.clients, b.Client())
	d.mu.Unlock()
	var err error
	if answer != nil {
		if err = answer(call, bodies); err == errHang {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	if e := pipeline.Classify(err); e == nil || e.Kind == pipeline.Partial {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.taken == nil {
			d.taken = map[string]int{}
		}
		for _, body := range bodies {
			d.taken[body]++
		}
	}
	return err
}

func (d *backend) respond(f func(call int, bodies []string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = f
}

// has returns how many different bodies it has, and how many came again.
func (d *backend) has() (different, again int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.taken {
		different, again = different+1, again+n-1
	}
	return different, again
}

// sent returns all calls.
func (d *backend) sent() (requests [][]byte, clients []*pipeline.Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.requests), slices.Clone(d.clients)
}

func (d *backend) callCount() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// sizes are how many records each call had.
func (d *backend) sizes() (sizes []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.requests {
		sizes = append(sizes, len(bodiesOf(r)))
	}
	return sizes
}

var errHang = errors.New("hang")

// process is a process with a log and one destination.
type process struct {
	t    *testing.T
	dir  string
	j    *journal.Journal
	log  *Log
	dest *Destination

	mu     sync.Mutex
	buried []string // bodies
}

// dead are the bodies of the dead letters.
func (p *process) dead() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.buried)
}

var dirs atomic.Int64

// disk is a file system in memory, mounted while the test runs.
func disk(t *testing.T, m *vfs.Mem) (dir string) {
	dir = fmt.Sprintf("/delivery-test/%d", dirs.Add(1))
	t.Cleanup(vfs.Mount(dir, m))
	return dir
}

func open(t *testing.T, dir string, cfg DestinationConfig) *process {
	t.Helper()
	j, err := journal.Open(dir, journal.Options{MaxBytes: 4 << 20, ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, dir: dir, j: j, log: NewLog(j, record.NewKeep([]string{"tenant"}, nil))}
	cfg.Name, cfg.Signal = "logs/otlp", otlp.Logs
	if cfg.DeadLetters == nil {
		cfg.DeadLetters = p.keep
	}
	if p.dest, err = p.log.Destination(cfg); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) keep(_ context.Context, l DeadLetter) error {
	r, err := record.Decode(l.Record)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	request, err := r.Request()
	p.buried = append(p.buried, bodiesOf(request)...)
	return err
}

// end ends the process in order.
func (p *process) end() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = p.dest.Shutdown(ctx) // what is cut off stays
	if err := p.j.Close(); err != nil {
		p.t.Error(err)
	}
}

func (p *process) consume(tenant string, bodies ...string) error {
	return p.consumeIn(pipeline.CodecNone, tenant, bodies...)
}

// consumeIn is consume for a request that came in a codec.
func (p *process) consumeIn(codec pipeline.Codec, tenant string, bodies ...string) error {
	client := &pipeline.Client{Addr: "10.0.0.1:1"}
	if tenant != "" {
		client.Metadata = map[string][]string{"tenant": {tenant}}
	}
	b, err := pipeline.NewBatch(otlp.Logs, logRequest(bodies...), client)
	if err != nil {
		p.t.Fatal(err)
	}
	defer b.Release()
	if codec != pipeline.CodecNone {
		testkit.Attach(b, codec)
	}
	return p.log.Consume(context.Background(), b)
}

func (p *process) fill(from, to int) {
	p.t.Helper()
	for i := from; i < to; i++ {
		if err := p.consume("", fmt.Sprint("body ", i)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// balanced checks the ledger, and returns it.
func (p *process) balanced() Ledger {
	p.t.Helper()
	l := p.dest.Ledger()
	if sum := l.Delivered + l.Rejected + l.DeadLettered + l.Dropped + l.Damaged + l.Held; sum != l.Accepted {
		p.t.Errorf("the ledger does not balance: %+v", l)
	}
	return l
}

// inFlight is how many items are being sent or wait to be sent again.
func (p *process) inFlight() (n int) {
	p.dest.mu.Lock()
	defer p.dest.mu.Unlock()
	for j := range p.dest.jobs {
		n += int(j.items())
	}
	return n
}

func permanent(code codes.Code) error {
	return &pipeline.Error{Kind: pipeline.Permanent, Code: uint32(code), Err: errors.New("no")}
}

func TestEverythingIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		p := open(t, dir, DestinationConfig{Next: b})
		p.fill(0, 100)
		p.dest.Start()
		time.Sleep(time.Second)
		if n, again := b.has(); n != 100 || again != 0 {
			t.Errorf("%d delivered, %d again; want 100", n, again)
		}
		if sizes := b.sizes(); len(sizes) != 1 {
			t.Errorf("requests of %v records, want one of 100", sizes)
		}
		if l := p.balanced(); l.Delivered != 100 || l.Held != 0 {
			t.Errorf("ledger %+v", l)
		}
		p.end()
		p = open(t, dir, DestinationConfig{Next: b})
		p.dest.Start()
		p.fill(100, 150)
		time.Sleep(time.Second)
		if n, again := b.has(); n != 150 || again != 0 {
			t.Errorf("after a restart: %d delivered, %d again; want 150", n, again)
		}
		if l := p.balanced(); l.Delivered != 150 || l.Accepted != 150 {
			t.Errorf("ledger %+v", l)
		}
		p.end()
	})
}

// A destination that is down for an hour, with a restart in between.
func TestDownForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		b.respond(func(int, []string) error {
			if time.Since(begin) < time.Hour {
				return errDown
			}
			return nil
		})
		p := open(t, dir, DestinationConfig{Next: b})
		p.dest.Start()
		for i := range 60 {
			p.fill(i*20, i*20+20)
			time.Sleep(time.Minute)
			if i == 30 {
				p.end()
				p = open(t, dir, DestinationConfig{Next: b})
				p.dest.Start()
			}
			p.balanced()
		}
		time.Sleep(2 * time.Minute)
		if n, again := b.has(); n != 1200 || again != 0 {
			t.Errorf("%d delivered, %d again; want 1200", n, again)
		}
		if b.callCount() > 400 {
			t.Errorf("%d attempts in an hour", b.callCount())
		}
		p.balanced()
		p.end()
	})
}

// One request of many that the destination refuses is found, and the others are
// delivered once.
func TestRefusedRequestIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		b.respond(func(_ int, bodies []string) error {
			if slices.Contains(bodies, "body 77") {
				return permanent(codes.InvalidArgument)
			}
			return nil
		})
		p := open(t, dir, DestinationConfig{Next: b})
		p.fill(0, 512)
		p.dest.Start()
		time.Sleep(time.Minute)
		if n, again := b.has(); n != 511 || again != 0 {
			t.Errorf("%d delivered, %d again; want 511", n, again)
		}
		if !slices.Equal(p.dead(), []string{"body 77"}) {
			t.Errorf("dead letters %v", p.dead())
		}
		if b.callCount() > 2*9+4 {
			t.Errorf("%d calls", b.callCount())
		}
		if l := p.balanced(); l.DeadLettered != 1 || l.Delivered != 511 {
			t.Errorf("ledger %+v", l)
		}
		p.end()
	})
}

// What concerns the destination as a whole holds everything.
func TestRefusalOfTheSenderHolds(t *testing.T) {
	for _, code := range []codes.Code{codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented} {
		synctest.Test(t, func(t *testing.T) {
			b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
			b.respond(func(int, []string) error { return permanent(code) })
			p := open(t, dir, DestinationConfig{Next: b})
			p.dest.Start()
			p.fill(0, 50)
			time.Sleep(time.Hour)
			if l := p.balanced(); l.Held != 50 || b.callCount() > 200 {
				t.Errorf("%v: ledger %+v after %d calls", code, l, b.callCount())
			}
			b.respond(nil)
			time.Sleep(2 * time.Minute)
			if n, again := b.has(); n != 50 || again != 0 {
				t.Errorf("%v: %d delivered, %d again", code, n, again)
			}
			p.end()
		})
	}
}

// A destination with a limit on the size gets smaller requests.
func TestSmallerRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1000
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		b.respond(func(_ int, bodies []string) error {
			if size := len(logRequest(bodies...)); size > limit {
				return &otlpclient.Error{Code: codes.ResourceExhausted, Err: &otlpclient.TooLargeError{Sent: size, Uncompressed: size, Limit: limit, Err: errDown}}
			}
			return nil
		})
		p := open(t, dir, DestinationConfig{Next: b})
		p.fill(0, 200)
		p.dest.Start()
		time.Sleep(time.Minute)
		calls := b.callCount()
		p.fill(200, 300)
		time.Sleep(time.Minute)
		if n, again := b.has(); n != 300 || again != 0 || len(p.dead()) != 0 {
			t.Errorf("%d delivered, %d again, %d dead", n, again, len(p.dead()))
		}
		requests, _ := b.sent()
		for _, r := range requests[calls:] {
			if len(r) > limit {
				t.Errorf("a request of %d bytes after the limit was known", len(r))
			}
		}
		if err := p.consume("", strings.Repeat("x", 2*limit)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if l := p.balanced(); l.DeadLettered != 1 {
			t.Errorf("a record that is too large by itself: %+v", l)
		}
		p.end()
	})
}

func TestPartialSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		b.respond(func(int, []string) error { return &pipeline.Error{Kind: pipeline.Partial, Rejected: 3, Err: errDown} })
		p := open(t, dir, DestinationConfig{Next: b})
		p.fill(0, 10)
		p.dest.Start()
		time.Sleep(time.Minute)
		if l := p.balanced(); l.Rejected != 3 || l.Delivered != 7 || b.callCount() != 1 {
			t.Errorf("ledger %+v after %d calls", l, b.callCount())
		}
		p.end()
	})
}

// What is given up is in the dead letters, and not before they have it.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		b.respond(func(int, []string) error { return errDown })
		var p *process
		refusals := 3
		p = open(t, dir, DestinationConfig{Next: b, GiveUpAfter: 5 * time.Minute, DeadLetters: func(ctx context.Context, l DeadLetter) error {
			if refusals--; refusals >= 0 {
				return errDown
			}
			return p.keep(ctx, l)
		}})
		p.fill(0, 10)
		p.dest.Start()
		time.Sleep(4 * time.Minute)
		if l := p.balanced(); l.Held != 10 {
			t.Errorf("too early: %+v", l)
		}
		time.Sleep(10 * time.Minute)
		if l := p.balanced(); l.DeadLettered != 10 || len(p.dead()) != 10 {
			t.Errorf("ledger %+v, %d dead letters", l, len(p.dead()))
		}
		p.end()
	})
}

// Requests of different tenants are not merged, and the metadata that is kept arrives.
func TestTenantsAreNotMixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		p := open(t, dir, DestinationConfig{Next: b})
		for i := range 40 {
			if err := p.consume([]string{"red", "blue", "blue"}[i%3], fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		p.dest.Start()
		time.Sleep(time.Minute)
		requests, clients := b.sent()
		for i, r := range requests {
			want := clients[i].Metadata["tenant"][0]
			for _, body := range bodiesOf(r) {
				var n int
				fmt.Sscan(body, &n)
				if got := []string{"red", "blue", "blue"}[n%3]; got != want {
					t.Errorf("record %d of %s was sent as one of %s", n, got, want)
				}
			}
		}
		if n, again := b.has(); n != 40 || again != 0 {
			t.Errorf("%d delivered, %d again", n, again)
		}
		p.end()
	})
}

// Requests of several tenants that alternate are merged for each tenant, and what is in
// flight is the same after a restart.
func TestTenantsAreMergedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m := &backend{}, vfs.NewMem(16<<20)
		b.respond(func(int, []string) error { return errHang })
		merge := Merge{MinItems: 20, Wait: time.Minute}
		p := open(t, disk(t, m), DestinationConfig{Next: b, Merge: merge})
		tenants := []string{"", "red", "blue"}
		for i := range 60 {
			if err := p.consume(tenants[i%3], fmt.Sprint("body ", i)); err != nil {
				t.Fatal(err)
			}
		}
		p.dest.Start()
		time.Sleep(time.Second)
		sent, clients := b.sent()
		if got, want := fmt.Sprint(b.sizes()), "[20 20 20]"; got != want {
			t.Errorf("requests of %s records, want %s", got, want)
		}
		for i, c := range clients {
			if bodies := bodiesOf(sent[i]); bodies[0] != fmt.Sprint("body ", slices.Index(tenants, append(c.Metadata["tenant"], "")[0])) {
				t.Errorf("the request that begins with %q has the metadata %v", bodies[0], c.Metadata)
			}
		}
		image := m.Crash(vfs.KeepAll, rand.New(rand.NewPCG(1, 1)))
		p.end()

		again := &backend{}
		p = open(t, disk(t, image), DestinationConfig{Next: again, Merge: Merge{MaxItems: 7}})
		p.dest.Start()
		time.Sleep(time.Minute)
		after, _ := again.sent()
		if !slices.Equal(sortedStrings(sent), sortedStrings(after)) {
			t.Errorf("after a restart: requests of %v records", again.sizes())
		}
		p.balanced()
		p.end()
	})
}

// A merged request waits for more, but not for longer than Wait.
func TestMergeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		p := open(t, dir, DestinationConfig{Next: b, Merge: Merge{MinItems: 10, MaxItems: 15, Wait: 5 * time.Second}})
		p.dest.Start()
		for i := range 10 {
			p.fill(i, i+1)
			time.Sleep(100 * time.Millisecond)
		}
		if sizes := b.sizes(); !slices.Equal(sizes, []int{10}) {
			t.Errorf("requests of %v", sizes)
		}
		p.fill(10, 14)
		time.Sleep(4 * time.Second)
		if sizes := b.sizes(); len(sizes) != 1 {
			t.Errorf("sent too early: %v", sizes)
		}
		time.Sleep(2 * time.Second)
		if sizes := b.sizes(); !slices.Equal(sizes, []int{10, 4}) {
			t.Errorf("requests of %v", sizes)
		}
		p.end()
	})
}

// A bound of a destination refuses at the entrance, and what was taken is delivered.
func TestBoundOfOneDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		b.respond(func(int, []string) error { return errDown })
		p := open(t, dir, DestinationConfig{Next: b, MaxHeldRequests: 10})
		p.dest.Start()
		p.fill(0, 10)
		var e *pipeline.Error
		if err := p.consume("", "too much"); !errors.As(err, &e) || e.Kind != pipeline.Overloaded || e.RetryAfter == 0 {
			t.Errorf("beyond the bound: %v", err)
		}
		b.respond(nil)
		time.Sleep(time.Minute)
		p.fill(10, 20)
		time.Sleep(time.Minute)
		if n, again := b.has(); n != 20 || again != 0 {
			t.Errorf("%d delivered, %d again", n, again)
		}
		p.end()
	})
}

// After a restart a request that was in flight is the same, to the byte.
func TestSameRequestAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m := &backend{}, vfs.NewMem(16<<20)
		dir := disk(t, m)
		b.respond(func(int, []string) error { return errHang })
		p := open(t, dir, DestinationConfig{Next: b, MaxInFlight: 3, Merge: Merge{MaxItems: 20}})
		p.fill(0, 47)
		p.dest.Start()
		time.Sleep(time.Second)
		sent, _ := b.sent()
		before := sortedStrings(sent)
		image := m.Crash(vfs.KeepAll, rand.New(rand.NewPCG(1, 1)))
		p.end()

		again, dir2 := &backend{}, disk(t, image)
		p = open(t, dir2, DestinationConfig{Next: again, MaxInFlight: 3, Merge: Merge{MaxItems: 30}}) // another bound
		p.fill(47, 60)
		p.dest.Start()
		time.Sleep(time.Minute)
		sent, _ = again.sent()
		after := sortedStrings(sent)
		for _, r := range before {
			if !slices.Contains(after, r) {
				t.Errorf("a request of %d records was not sent in the same way", len(bodiesOf([]byte(r))))
			}
		}
		if n, more := again.has(); n != 60 || more != 0 {
			t.Errorf("%d delivered, %d again", n, more)
		}
		p.balanced()
		p.end()
	})
}

func sortedStrings(list [][]byte) (s []string) {
	for _, b := range list {
		s = append(s, string(b))
	}
	slices.Sort(s)
	return s
}

// Lives of a process: a destination that answers at random, ends of the process and
// power cuts at random. What Consume has taken is delivered or in the dead letters; what
// is delivered twice was in flight when a life ended.
func TestLives(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { lives(t, seed, nil) })
		})
	}
}

// TestLivesOfCompressed is TestLives with requests that came in any codec, and destinations
// that can use some: the compressed bytes of what arrives are those of its bytes.
func TestLivesOfCompressed(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { lives(t, seed, append(testkit.Codecs(), pipeline.CodecNone, pipeline.CodecGzip)) })
		})
	}
}

// someOf returns a random set of codecs.
func someOf(r *rand.Rand, codecs []pipeline.Codec) (s pipeline.CodecSet) {
	for _, c := range codecs {
		if r.IntN(2) == 0 {
			s |= pipeline.CodecsOf(c)
		}
	}
	return s
}

// lives sends requests in codecs; nil: not compressed.
func lives(t *testing.T, seed uint64, codecs []pipeline.Codec) {
	r := rand.New(rand.NewPCG(seed, 9))
	m := vfs.NewMem(16 << 20)
	b := &backend{}
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 10))
	b.respond(func(_ int, bodies []string) error {
		mu.Lock()
		k, wait := random.IntN(12), random.IntN(300)
		mu.Unlock()
		if err := tooLarge(bodies, 300, k < 6); err != nil {
			return err
		}
		time.Sleep(time.Duration(wait) * time.Millisecond)
		for _, body := range bodies {
			if strings.HasSuffix(body, "13") {
				return permanent(codes.InvalidArgument)
			}
		}
		switch k {
		case 0, 1:
			return errDown
		case 2:
			return &pipeline.Error{Kind: pipeline.Overloaded, RetryAfter: time.Second, Err: errDown}
		case 3:
			return permanent(codes.Unauthenticated)
		}
		return nil
	})
	taken, dead := map[string]bool{}, map[string]bool{}
	cfg := func() DestinationConfig {
		return DestinationConfig{Next: b, MaxInFlight: 1 + r.IntN(5), Merge: Merge{MaxItems: 1 + r.IntN(40)}, MaxBackoff: 2 * time.Second,
			DeadLetters: func(_ context.Context, l DeadLetter) error {
				rec, err := record.Decode(l.Record)
				if err != nil {
					return err
				}
				request, err := rec.Request()
				mu.Lock()
				defer mu.Unlock()
				for _, body := range bodiesOf(request) {
					dead[body] = true
				}
				return err
			}}
	}
	n, inFlight := 0, 0
	for life := range 6 {
		b.can.Codecs = someOf(r, codecs)
		b.can.Members = someOf(r, codecs) & b.can.Codecs
		dir := disk(t, m)
		p := open(t, dir, cfg())
		p.dest.Start()
		for range r.IntN(60) {
			var bodies []string
			for range 1 + r.IntN(2)*r.IntN(10) {
				bodies = append(bodies, fmt.Sprint("body ", n))
				taken[bodies[len(bodies)-1]] = true
				n++
			}
			codec := pipeline.CodecNone
			if len(codecs) > 0 {
				codec = codecs[r.IntN(1+r.IntN(len(codecs)))]
			}
			if err := p.consumeIn(codec, "", bodies...); err != nil {
				t.Fatal(err)
			}
			if r.IntN(3) == 0 {
				time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
			}
			p.balanced()
		}
		if life == 5 {
			time.Sleep(10 * time.Minute)
		}
		synctest.Wait()
		if r.IntN(2) == 0 {
			inFlight += p.inFlight() // also of a record of which a part was delivered
			p.end()                  // in order; what it cuts off may be delivered twice
			inFlight += p.inFlight()
			continue
		}
		inFlight += p.inFlight()
		mode := []vfs.Mode{vfs.KeepAll, vfs.KeepAll, vfs.DropAll, vfs.Tear}[r.IntN(4)]
		if mode != vfs.KeepAll {
			inFlight += n // after a power cut, what was settled in the last second may be delivered twice
		}
		image := m.Crash(mode, r)
		p.end()
		m = image
	}
	for body := range taken {
		b.mu.Lock()
		delivered := b.taken[body] > 0
		b.mu.Unlock()
		if !delivered && !dead[body] {
			t.Errorf("seed %d: %q was taken, and is neither delivered nor a dead letter", seed, body)
		}
		if delivered && strings.HasSuffix(body, "13") {
			t.Errorf("seed %d: %q was refused, and counts as delivered", seed, body)
		}
	}
	for _, err := range b.unequal {
		t.Errorf("seed %d: %v", seed, err)
	}
	if _, again := b.has(); again > inFlight {
		t.Errorf("seed %d: %d delivered again, %d were in flight", seed, again, inFlight)
	}
}

// Profiles are merged with one dictionary; those that cannot be are sent one by one.
func TestProfilesAreMerged(t *testing.T) {
	payloads := testkit.ProfilerPayloads(t)
	odd, err := proto.Marshal(&colprofiles.ExportProfilesServiceRequest{Dictionary: &profiles.ProfilesDictionary{StringTable: []string{"not empty"}},
		ResourceProfiles: []*profiles.ResourceProfiles{{}}})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		for _, with := range []int{0, 1} {
			var mu sync.Mutex
			calls, items, want := 0, 0, 0
			next := pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
				mu.Lock()
				defer mu.Unlock()
				n, err := otlp.Check(otlp.Profiles, b.Bytes())
				if err != nil || n != b.Items() {
					t.Errorf("%d items, %v; the batch says %d", n, err, b.Items())
				}
				calls, items = calls+1, items+n
				return nil
			})
			j, err := journal.Open(disk(t, vfs.NewMem(16<<20)), journal.Options{MaxBytes: 8 << 20, ReserveBytes: -1})
			if err != nil {
				t.Fatal(err)
			}
			l := NewLog(j, record.Keep{})
			d, err := l.Destination(DestinationConfig{Name: "profiles/otlp", Signal: otlp.Profiles, Next: next, Merge: Merge{MaxItems: 1 << 20}})
			if err != nil {
				t.Fatal(err)
			}
			requests := [][]byte{payloads["oncpu-010.binpb"], payloads["oncpu-011.binpb"], payloads["oncpu-013.binpb"], odd}[:3+with]
			for _, r := range requests {
				b, err := pipeline.NewBatch(otlp.Profiles, r, nil)
				if err != nil {
					t.Fatal(err)
				}
				want += b.Items()
				if err := l.Consume(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				b.Release()
			}
			d.Start()
			time.Sleep(time.Minute)
			synctest.Wait()
			mu.Lock()
			if items != want || calls != 1+2*with {
				t.Errorf("%d of %d items in %d calls, want %d", items, want, calls, 1+2*with)
			}
			mu.Unlock()
			if err := errors.Join(d.Shutdown(t.Context()), j.Close()); err != nil {
				t.Error(err)
			}
		}
	})
}

// A profile is divided at its samples.
func TestProfilesInParts(t *testing.T) {
	request := testkit.ProfilerPayloads(t)["oncpu-010.binpb"]
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got [][]byte
		largest := 0
		next := pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			got, largest = append(got, bytes.Clone(b.Bytes())), max(largest, b.Items())
			return nil
		})
		j, err := journal.Open(disk(t, vfs.NewMem(16<<20)), journal.Options{MaxBytes: 8 << 20, ReserveBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		l := NewLog(j, record.Keep{})
		d, err := l.Destination(DestinationConfig{Name: "profiles/otlp", Signal: otlp.Profiles, Next: next, Merge: Merge{MaxItems: 20}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := pipeline.NewBatch(otlp.Profiles, request, nil)
		if err != nil {
			t.Fatal(err)
		}
		items := b.Items()
		if err := l.Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		b.Release()
		d.Start()
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(got) < 2 || largest != 20 {
			t.Errorf("%d items in %d requests of at most %d", items, len(got), largest)
		}
		sent, want := testkit.ProfileSamples(t, got...), testkit.ProfileSamples(t, request)
		if !slices.EqualFunc(sent, want, func(a, b testkit.ProfileSample) bool {
			return a.Key() == b.Key() && slices.Equal(a.Times, b.Times) && slices.Equal(a.Values, b.Values)
		}) {
			t.Errorf("%d samples were sent, not the %d of the request", len(sent), len(want))
		}
		if ledger := d.Ledger(); ledger.Delivered != uint64(items) || ledger.Held != 0 {
			t.Errorf("ledger %+v, of %d items", ledger, items)
		}
		if err := errors.Join(d.Shutdown(t.Context()), j.Close()); err != nil {
			t.Error(err)
		}
	})
}

// FuzzState: what is read is written in the same way.
func FuzzState(f *testing.F) {
	f.Add(appendState(nil, tally{1, 2, 3, 4}, []span{{first: 5, last: 5}, {first: 7, last: 900, tag: 65535},
		{first: 901, last: 901, divided: true, parts: progress{limits: otlp.SplitLimits{MaxItems: 1, MaxBytes: 2, Skip: 3}, rejected: 4, dead: 5}}}))
	f.Add([]byte{stateVersion})
	f.Add([]byte{1, 1, 2, 3, 4, 1, 5, 6})
	f.Fuzz(func(t *testing.T, b []byte) {
		tally, spans, err := parseState(b)
		if err != nil || len(b) == 0 {
			return
		}
		again, more, err := parseState(appendState(nil, tally, spans))
		if err != nil || again != tally || !slices.Equal(more, spans) {
			t.Fatalf("%v %v was read again as %v %v, %v", tally, spans, again, more, err)
		}
	})
}

// numbered are bodies from, …, to-1.
func numbered(from, to int) (bodies []string) {
	for i := from; i < to; i++ {
		bodies = append(bodies, fmt.Sprintf("body %03d", i))
	}
	return bodies
}

// tooLarge is the answer of a destination with a limit, which it says or not.
func tooLarge(bodies []string, limit int, says bool) error {
	size := len(logRequest(bodies...))
	if size <= limit {
		return nil
	}
	e := &otlpclient.TooLargeError{Sent: size, Uncompressed: size, Err: errDown}
	if says {
		e.Limit = int64(limit)
	}
	return &otlpclient.Error{Code: codes.ResourceExhausted, Err: e}
}

// A record that is too large by itself is sent in parts, in order and once.
func TestLargeRecordInParts(t *testing.T) {
	for _, says := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			const limit = 1000
			b := &backend{}
			b.respond(func(_ int, bodies []string) error { return tooLarge(bodies, limit, says) })
			p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: b})
			p.dest.Start()
			if err := p.consume("red", numbered(0, 500)...); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if n, again := b.has(); n != 500 || again != 0 || len(p.dead()) != 0 {
				t.Errorf("%d delivered, %d again, %d dead", n, again, len(p.dead()))
			}
			if l := p.balanced(); l.Delivered != 500 || l.Held != 0 {
				t.Errorf("ledger %+v", l)
			}
			var order []string
			requests, clients := b.sent()
			for i, r := range requests {
				if tooLarge(bodiesOf(r), limit, says) == nil {
					order = append(order, bodiesOf(r)...)
				}
				if clients[i].Metadata["tenant"][0] != "red" {
					t.Errorf("request %d has the metadata %v", i, clients[i].Metadata)
				}
			}
			if !slices.Equal(order, numbered(0, 500)) {
				t.Error("the parts are not in order")
			}
			// The limit is known now.
			calls := b.callCount()
			if err := p.consume("", numbered(500, 1000)...); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			requests, _ = b.sent()
			for _, r := range requests[calls:] {
				if len(r) > limit {
					t.Errorf("a request of %d bytes after the limit was known", len(r))
				}
			}
			if l := p.balanced(); l.Delivered != 1000 {
				t.Errorf("ledger %+v", l)
			}
			p.end()
		})
	}
}

// One item that is too large by itself goes to the dead letters; the rest of its record
// is delivered.
func TestLargeItemInALargeRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1000
		b := &backend{}
		b.respond(func(_ int, bodies []string) error { return tooLarge(bodies, limit, true) })
		p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: b})
		p.dest.Start()
		giant := strings.Repeat("x", 2*limit)
		if err := p.consume("", slices.Concat(numbered(0, 50), []string{giant}, numbered(50, 100))...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n, again := b.has(); n != 100 || again != 0 || !slices.Equal(p.dead(), []string{giant}) {
			t.Errorf("%d delivered, %d again, %d dead", n, again, len(p.dead()))
		}
		if l := p.balanced(); l.Delivered != 100 || l.DeadLettered != 1 || l.Held != 0 {
			t.Errorf("ledger %+v", l)
		}
		p.end()
	})
}

// What the settings ask for is divided before it is sent; the default divides nothing.
func TestMaxSizeDivides(t *testing.T) {
	for _, c := range []struct {
		merge Merge
		want  []int
	}{
		{Merge{}, []int{9000}}, {Merge{MaxItems: 4000}, []int{4000, 4000, 1000}}, {Merge{MaxItems: 9000}, []int{9000}}, {Merge{MaxBytes: 100_000}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &backend{}
			p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: b, Merge: c.merge})
			p.dest.Start()
			if err := p.consume("", numbered(0, 9000)...); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if n, again := b.has(); n != 9000 || again != 0 {
				t.Errorf("%+v: %d delivered, %d again", c.merge, n, again)
			}
			if sizes := b.sizes(); c.want != nil && !slices.Equal(sizes, c.want) {
				t.Errorf("%+v: requests of %v items, want %v", c.merge, sizes, c.want)
			}
			requests, _ := b.sent()
			for _, r := range requests {
				if c.merge.MaxBytes > 0 && len(r) > c.merge.MaxBytes {
					t.Errorf("%+v: a request of %d bytes", c.merge, len(r))
				}
			}
			if l := p.balanced(); l.Delivered != 9000 {
				t.Errorf("%+v: ledger %+v", c.merge, l)
			}
			p.end()
		})
	}
}

// Parts that are refused for good are dead letters, those that fail are sent again, and
// those that were delivered are not, also after a restart.
func TestPartsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := disk(t, vfs.NewMem(16<<20))
		b, failures := &backend{}, 0
		b.respond(func(_ int, bodies []string) error {
			switch {
			case bodies[0] == "body 020":
				return permanent(codes.InvalidArgument)
			case bodies[0] == "body 030":
				return &pipeline.Error{Kind: pipeline.Partial, Rejected: 4, Err: errDown}
			case bodies[0] == "body 050" && failures < 5:
				failures++
				return errDown
			case bodies[0] == "body 070" && failures < 8:
				failures++
				return permanent(codes.Unauthenticated)
			}
			return nil
		})
		var p *process
		refusals := 2
		dead := func(ctx context.Context, l DeadLetter) error {
			if refusals--; refusals >= 0 {
				return errDown
			}
			if l.Items != 10 {
				t.Errorf("a dead letter of %d items", l.Items)
			}
			return p.keep(ctx, l)
		}
		p = open(t, dir, DestinationConfig{Next: b, Merge: Merge{MaxItems: 10}, DeadLetters: dead})
		p.dest.Start()
		if err := p.consume("", numbered(0, 100)...); err != nil {
			t.Fatal(err)
		}
		for range 600 {
			time.Sleep(time.Second)
			p.balanced()
		}
		if n, again := b.has(); n != 90 || again != 0 || failures != 8 {
			t.Errorf("%d delivered, %d again, %d failures", n, again, failures)
		}
		if !slices.Equal(p.dead(), numbered(20, 30)) {
			t.Errorf("dead letters %v", p.dead())
		}
		if l := p.balanced(); l.Delivered != 86 || l.Rejected != 4 || l.DeadLettered != 10 || l.Held != 0 {
			t.Errorf("ledger %+v", l)
		}

		// A record of which a part is delivered when the process ends.
		b.respond(func(_ int, bodies []string) error {
			if bodies[0] == "body 210" {
				return errDown
			}
			return nil
		})
		if err := p.consume("", numbered(200, 230)...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if l := p.balanced(); l.Held != 30 {
			t.Errorf("in the middle of a record: %+v", l)
		}
		p.end()
		b.respond(nil)
		p = open(t, dir, DestinationConfig{Next: b, Merge: Merge{MaxItems: 10}})
		p.dest.Start()
		time.Sleep(time.Minute)
		if n, again := b.has(); n != 120 || again != 0 {
			t.Errorf("after a restart: %d delivered, %d again", n, again)
		}
		if l := p.balanced(); l.Delivered != 116 || l.Held != 0 {
			t.Errorf("after a restart: %+v", l)
		}
		p.end()
	})
}

// Parts that are given up are dead letters one by one.
func TestPartsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.respond(func(_ int, bodies []string) error {
			if bodies[0] == "body 010" || bodies[0] == "body 020" {
				return errDown
			}
			return nil
		})
		p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: b, Merge: Merge{MaxItems: 10}, GiveUpAfter: 5 * time.Minute})
		p.dest.Start()
		if err := p.consume("", numbered(0, 40)...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		if n, again := b.has(); n != 20 || again != 0 || !slices.Equal(p.dead(), numbered(10, 30)) {
			t.Errorf("%d delivered, %d again, dead letters %v", n, again, p.dead())
		}
		if l := p.balanced(); l.Delivered != 20 || l.DeadLettered != 20 {
			t.Errorf("ledger %+v", l)
		}
		p.end()
	})
}

// No more requests are sent at a time than MaxInFlight, and one while the destination
// fails.
func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		down, inside, most := false, 0, 0
		next := pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error {
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			inside--
			if down {
				return errDown
			}
			return nil
		})
		reset := func(isDown bool) (before int) {
			mu.Lock()
			defer mu.Unlock()
			before, most, down = most, inside, isDown
			return before
		}
		p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: next, MaxInFlight: 3, Merge: Merge{MaxItems: 1}})
		p.dest.Start()
		p.fill(0, 30)
		time.Sleep(5 * time.Second)
		if most := reset(true); most != 3 {
			t.Errorf("%d requests at a time, want 3", most)
		}
		time.Sleep(time.Minute)
		reset(true)
		time.Sleep(10 * time.Minute)
		if most := reset(false); most != 1 {
			t.Errorf("%d requests at a time while the destination fails, want 1", most)
		}
		time.Sleep(10 * time.Minute)
		if l := p.balanced(); l.Delivered != 30 {
			t.Errorf("ledger %+v", l)
		}
		p.end()
	})
}

// With Block a request waits for room, and its context ends that.
func TestBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.respond(func(int, []string) error { return errDown })
		p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: b, MaxHeldRequests: 2, Block: true})
		p.dest.Start()
		p.fill(0, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		batch, err := pipeline.NewBatch(otlp.Logs, logRequest("late"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer batch.Release()
		if err := p.log.Consume(ctx, batch); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after its deadline: %v", err)
		}
		time.AfterFunc(time.Minute, func() { b.respond(nil) })
		begin := time.Now()
		if err := p.log.Consume(t.Context(), batch); err != nil || time.Since(begin) < time.Minute {
			t.Errorf("%v after %v, want nil when there is room", err, time.Since(begin))
		}
		time.Sleep(time.Minute)
		if n, again := b.has(); n != 3 || again != 0 {
			t.Errorf("%d delivered, %d again", n, again)
		}
		p.end()
	})
}

// MinBytes waits as MinItems does.
func TestMergeWaitsForBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: b, Merge: Merge{MinBytes: 2000, Wait: time.Minute}})
		p.dest.Start()
		for range 3 {
			if err := p.consume("", strings.Repeat("x", 800)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if sizes := b.sizes(); !slices.Equal(sizes, []int{3}) {
			t.Errorf("requests of %v, want one of 3", sizes)
		}
		p.end()
	})
}

// However many combinations of metadata wait, and records of them, a bounded number of
// records is held in memory.
func TestFormingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		p := open(t, disk(t, vfs.NewMem(64<<20)), DestinationConfig{Next: b, Merge: Merge{MinItems: 1 << 20, MaxItems: 1 << 20, Wait: 24 * time.Hour}})
		p.dest.Start()
		for i := range maxForming + 40 {
			if err := p.consume(fmt.Sprint("tenant ", i), fmt.Sprint("body ", i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if n := b.callCount(); n != 40 {
			t.Errorf("%d requests of %d tenants were sent before their time, want 40", n, maxForming+40)
		}
		p.fill(0, maxFormingEntries)
		time.Sleep(time.Second)
		if n, _ := b.has(); n < 40+20 || n > maxForming+40 {
			t.Errorf("%d records were sent before their time, want those of the oldest tenants", n)
		}
		p.end()
	})
}

// A tenant with few records, which wait, does not keep those of another from being sent.
func TestWaitingTenantBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		p := open(t, disk(t, vfs.NewMem(64<<20)), DestinationConfig{Next: b, Merge: Merge{MinItems: 100, MaxItems: 100, Wait: 24 * time.Hour}})
		p.dest.Start()
		const records = 2000
		for i := range records { // each second one of "busy", and never enough of the others
			tenant := "busy"
			if i%2 == 1 {
				tenant = fmt.Sprint("tenant ", i%60)
			}
			if err := p.consume(tenant, fmt.Sprint("body ", i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if n, again := b.has(); n < records/2 || again > 0 {
			t.Errorf("%d of %d records were sent, %d again", n, records, again)
		}
		p.balanced()
		p.end()
	})
}

// Of a record that is sent in parts, those that the destination has taken are not sent
// again when the process was killed before the others were.
func TestKilledBetweenParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b, killed := vfs.NewMem(16<<20), &backend{}, make(chan struct{})
		b.respond(func(n int, bodies []string) error {
			if bodies[0] == numbered(30, 31)[0] {
				<-killed // it is in flight then
				return errDown
			}
			return nil
		})
		cfg := DestinationConfig{Next: b, Merge: Merge{MaxItems: 10}}
		p := open(t, disk(t, m), cfg)
		p.dest.Start()
		if err := p.consume("", numbered(0, 50)...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n, _ := b.has(); n != 30 {
			t.Fatalf("%d records were taken before the kill, want 30", n)
		}
		image := m.Crash(vfs.KeepAll, rand.New(rand.NewPCG(1, 1)))
		close(killed)
		p.end()

		again := &backend{}
		cfg.Next = again
		p = open(t, disk(t, image), cfg)
		p.dest.Start()
		time.Sleep(time.Minute)
		var bodies []string
		requests, _ := again.sent()
		for _, r := range requests {
			bodies = append(bodies, bodiesOf(r)...)
		}
		if !slices.Equal(bodies, numbered(30, 50)) {
			t.Errorf("after the kill %d records were sent, want the 20 that were not taken", len(bodies))
		}
		if l := p.balanced(); l.Delivered != 50 || l.Held != 0 {
			t.Errorf("ledger %+v", l)
		}
		p.end()
	})
}
