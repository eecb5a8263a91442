package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// deduplicating is a destination that takes each request id once. Answers are lost at
// random: what it took is sent again.
type deduplicating struct {
	t      *testing.T
	refuse func(bodies []string) error // nil: it refuses nothing

	mu       sync.Mutex
	random   *rand.Rand
	cut      bool              // the sender has ended: nothing arrives
	requests map[string]string // by id
	order    []string          // ids of all attempts
	taken    map[string]int    // body to how many times
	repeats  int               // requests that were known
}

func newDeduplicating(t *testing.T, seed uint64) *deduplicating {
	return &deduplicating{t: t, random: rand.New(rand.NewPCG(seed, 10)), requests: map[string]string{}, taken: map[string]int{}}
}

func (d *deduplicating) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (d *deduplicating) Consume(ctx context.Context, b *pipeline.Batch) error {
	bodies, id := bodiesOf(b.Bytes()), pipeline.RequestID(ctx)
	d.mu.Lock()
	lost, before, wait := d.random.IntN(3) == 0, d.random.IntN(8) == 0, d.random.IntN(300)
	d.order = append(d.order, id)
	d.mu.Unlock()
	select {
	case <-time.After(time.Duration(wait) * time.Millisecond):
	case <-ctx.Done():
	}
	if d.refuse != nil {
		if err := d.refuse(bodies); err != nil {
			return err
		}
	}
	if before {
		return errDown
	}
	d.take(id, string(b.Bytes()), bodies)
	if lost {
		return errDown
	}
	return nil
}

func (d *deduplicating) take(id, request string, bodies []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		return
	}
	if known, is := d.requests[id]; is {
		d.repeats++
		if known != request {
			d.t.Errorf("id %q: %d records at first, %d now", id, len(bodiesOf([]byte(known))), len(bodies))
		}
		return
	}
	d.requests[id] = request
	for _, b := range bodies {
		d.taken[b]++
	}
}

func (d *deduplicating) end(cut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = cut
}

// A destination that deduplicates by the id of requests has every record exactly once,
// over lost answers, ends of the process and power cuts, for requests that are merged,
// halved and sent in parts.
func TestRequestIDsOfLives(t *testing.T) {
	repeats := 0
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { repeats += deduplicatedLives(t, seed) })
		})
	}
	if repeats < 100 {
		t.Errorf("only %d requests were sent again after they were taken", repeats)
	}
}

func deduplicatedLives(t *testing.T, seed uint64) (repeats int) {
	r := rand.New(rand.NewPCG(seed, 9))
	m := vfs.NewMem(16 << 20)
	b := newDeduplicating(t, seed)
	b.refuse = func(bodies []string) error {
		for _, body := range bodies {
			if strings.HasSuffix(body, "13") {
				return permanent(codes.InvalidArgument)
			}
		}
		return tooLarge(bodies, 300, len(bodies)%2 == 0)
	}
	n, expected, dead := 0, map[string]bool{}, map[string]bool{}
	for life := range 6 {
		b.end(false)
		p := open(t, disk(t, m), DestinationConfig{Next: b, RequestIDs: true, MaxInFlight: 1 + r.IntN(5), MaxBackoff: 2 * time.Second,
			Merge: Merge{MaxItems: 1 + r.IntN(40)}})
		p.dest.Start()
		for range r.IntN(60) {
			var bodies []string
			for range 1 + r.IntN(2)*r.IntN(30) {
				bodies = append(bodies, fmt.Sprint("body ", n))
				expected[bodies[len(bodies)-1]] = true
				n++
			}
			if err := p.consume([]string{"", "red", "blue"}[r.IntN(1+int(seed%3))], bodies...); err != nil {
				t.Fatal(err)
			}
			if r.IntN(3) == 0 {
				time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
			}
			p.balanced()
		}
		if life == 5 {
			time.Sleep(30 * time.Minute)
			p.balanced()
		}
		inOrder := r.IntN(3) == 0
		if inOrder { // some of what is being sent is cut off
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(300))*time.Millisecond)
			_ = p.dest.Shutdown(ctx)
			cancel()
			p.end()
		}
		for _, body := range p.dead() {
			dead[body] = true
		}
		if inOrder {
			continue
		}
		b.end(true)
		image := m.Crash([]vfs.Mode{vfs.KeepAll, vfs.DropAll, vfs.Tear}[r.IntN(3)], r)
		p.end()
		m = image
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for body := range expected {
		if want := map[bool]int{false: 1, true: 0}[dead[body]]; b.taken[body] != want && !t.Failed() {
			t.Errorf("seed %d: %q was taken %d times, expected %d", seed, body, b.taken[body], want)
		}
	}
	return b.repeats
}

// The id of a request is that of its records and its destination.
func TestRequestIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records = 3
		var seen []string
		run := func(name string, m *vfs.Mem, bodies string, attempts int) (image *vfs.Mem) {
			t.Helper()
			j, err := journal.Open(disk(t, m), journal.Options{MaxBytes: 4 << 20, ReserveBytes: -1})
			if err != nil {
				t.Fatal(err)
			}
			p := &process{t: t, j: j, log: NewLog(j, record.Keep{})}
			b := newDeduplicating(t, 1)
			failures := map[string]int{}
			b.refuse = func(bodies []string) error {
				b.mu.Lock()
				defer b.mu.Unlock()
				if failures[bodies[0]]++; failures[bodies[0]] < attempts {
					return errDown
				}
				return nil
			}
			if p.dest, err = p.log.Destination(DestinationConfig{Name: name, Signal: otlp.Logs, Next: b, RequestIDs: true, MaxInFlight: 1, Merge: Merge{MaxItems: 10}}); err != nil {
				t.Fatal(err)
			}
			for i := range records {
				if err := p.consume("", fmt.Sprint(bodies, i)); err != nil {
					t.Fatal(err)
				}
			}
			image = m.Crash(vfs.KeepAll, rand.New(rand.NewPCG(1, 1)))
			if err := p.consume("", numbered(0, 25)...); err != nil { // in parts
				t.Fatal(err)
			}
			p.dest.Start()
			time.Sleep(10 * time.Minute)
			p.end()
			if len(b.requests) != 4 { // the merged one, and 10, 10 and 5
				t.Errorf("%s: %d requests, want 4", name, len(b.requests))
			}
			for _, id := range b.order {
				if b.requests[id] == "" {
					t.Errorf("%s: an attempt had an id of its own, %q", name, id)
				}
			}
			for id := range b.requests {
				seen = append(seen, id)
			}
			return image
		}
		image := run("logs/otlp", vfs.NewMem(16<<20), "a", 3)
		run("logs/otlp", vfs.NewMem(16<<20), "a", 1)       // another instance, or pipeline
		run("logs/otlp/other", vfs.NewMem(16<<20), "a", 1) // another exporter
		count := map[string]int{}
		for _, id := range seen {
			if count[id]++; count[id] > 1 || len(id) != 36 {
				t.Errorf("id %q came %d times", id, count[id])
			}
		}

		// A folder that was set back to an earlier state has other records of the same sequences.
		j, err := journal.Open(disk(t, image), journal.Options{MaxBytes: 4 << 20, ReserveBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		p, b := &process{t: t, j: j, log: NewLog(j, record.Keep{})}, newDeduplicating(t, 1)
		if p.dest, err = p.log.Destination(DestinationConfig{Name: "logs/otlp", Signal: otlp.Logs, Next: b, RequestIDs: true, Merge: Merge{MaxItems: 10}}); err != nil {
			t.Fatal(err)
		}
		if err := p.consume("", numbered(100, 125)...); err != nil {
			t.Fatal(err)
		}
		p.dest.Start()
		time.Sleep(10 * time.Minute)
		p.end()
		again := 0
		for id, request := range b.requests {
			if count[id] > 0 {
				again++
				if first := bodiesOf([]byte(request))[0]; first != "a0" {
					t.Errorf("a request that begins with %q has the id of another", first)
				}
			}
		}
		if again != 1 {
			t.Errorf("%d requests have an id from before, want the one that was sent before", again)
		}
	})
}

// What Shutdown cuts off is sent as the same requests afterwards, also if another one is
// answered after that.
func TestCutOffRequestsStayTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := &backend{}, disk(t, vfs.NewMem(16<<20))
		b.respond(func(_ int, bodies []string) error {
			if bodies[0] != "body 0" {
				return errHang
			}
			time.Sleep(3 * time.Second) // it is answered when the others have been cut off
			return nil
		})
		p := open(t, dir, DestinationConfig{Next: b, MaxInFlight: 3, Merge: Merge{MaxItems: 20}})
		p.fill(0, 60)
		p.dest.Start()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = p.dest.Shutdown(ctx)
		p.end()
		b.respond(nil)
		p = open(t, dir, DestinationConfig{Next: b, Merge: Merge{MaxItems: 50}})
		p.dest.Start()
		time.Sleep(time.Minute)
		if got, want := fmt.Sprint(b.sizes()), "[20 20 20 20 20]"; got != want {
			t.Errorf("requests of %s records, want %s", got, want)
		}
		p.end()
	})
}
