package held

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func newBudget(bytes int64) *admission.Budget {
	return admission.New(admission.Config{Bytes: bytes, MaxWait: -1})
}

// An account charges what was reserved, then what is held, and in the end nothing.
func TestAccount(t *testing.T) {
	t.Parallel()
	budget := newBudget(16 << 20)
	var held int64 = 1000
	a := New(Config{Budget: budget, Client: "a", Bytes: func() int64 { return held }})
	used := func() int64 { return budget.Stats().Used }
	for range 10 {
		if err := a.Reserve(t.Context(), 1<<20); err != nil {
			t.Fatal(err)
		}
		held += 1 << 20
		if used() < held {
			t.Errorf("%d bytes are charged, %d are held", used(), held)
		}
	}
	if most := held + stepBytes + 1<<20; used() > most {
		t.Errorf("%d bytes are charged, want at most %d", used(), most)
	}
	held = 5000
	a.Settle()
	if used() != held || a.Charged() != held {
		t.Errorf("%d and %d bytes are charged, %d are held", used(), a.Charged(), held)
	}
	if err := a.Reserve(t.Context(), 16<<20); err == nil || used() != held {
		t.Errorf("got %v for more than the budget; %d bytes are charged", err, used())
	}
	held = 10_000 // grew by itself
	a.Settle()
	if err := a.Reserve(t.Context(), 1); err != nil || used() <= held {
		t.Errorf("%v, %d bytes are charged, %d are held", err, used(), held)
	}
	a.Close()
	a.Close()
	if used() != 0 {
		t.Errorf("%d bytes are charged in the end", used())
	}
	if err := a.Reserve(t.Context(), 1<<20); err == nil {
		t.Error("Reserve after Close")
	}
}

// Small reservations ask rarely for what is held.
func TestReserveLooksRarely(t *testing.T) {
	t.Parallel()
	looks := 0
	a := New(Config{Budget: newBudget(16 << 20), Bytes: func() int64 { looks++; return 0 }})
	defer a.Close()
	for range 1000 {
		if err := a.Reserve(t.Context(), 64); err != nil {
			t.Fatal(err)
		}
	}
	if looks > 2 {
		t.Errorf("%d looks for %d bytes", looks, 1000*64)
	}
}

// Without a budget nothing is counted.
func TestNoBudget(t *testing.T) {
	t.Parallel()
	a := New(Config{Group: &Group{}, Bytes: func() int64 { panic("asked") }})
	if err := a.Reserve(t.Context(), 1<<40); err != nil {
		t.Error(err)
	}
	a.Settle()
	a.Close()
}

// A group leaves half of the budget to others, and a client a share of this half.
func TestGroup(t *testing.T) {
	t.Parallel()
	budget := newBudget(12 << 20)
	var group Group
	held := map[string]*int64{"a": new(int64), "b": new(int64)}
	account := func(client string) *Account {
		return New(Config{Budget: budget, Group: &group, Client: client, Bytes: func() int64 { return *held[client] }})
	}
	a, b := account("a"), account("b")
	fill := func(one *Account) (err error) {
		for err == nil {
			if err = one.Reserve(t.Context(), stepBytes); err == nil {
				*held[one.Client] += stepBytes
			}
		}
		return err
	}
	var o *admission.Overload
	if err := fill(a); !errors.As(err, &o) || o.RetryAfter <= 0 || !strings.Contains(err.Error(), "are kept of this sender") {
		t.Errorf("got %v", err)
	}
	if n := *held["a"]; n < 3<<20 || n > 4<<20 { // two thirds of 6 MiB
		t.Errorf("one client has %d bytes", n)
	}
	if err := fill(b); err == nil || *held["b"] < 1<<20 {
		t.Errorf("%v, the second client has %d bytes", err, *held["b"])
	}
	if used := budget.Stats().Used; used > 6<<20 {
		t.Errorf("%d bytes are kept of a budget of 12 MiB", used)
	}
	if err := a.Reserve(t.Context(), 5<<20); !errors.As(err, &o) || !o.TooLarge {
		t.Errorf("more than may ever be kept: got %v", err)
	}
	a.Close()
	b.Close()
	if group.bytes != 0 || len(group.clients) != 0 || budget.Stats().Used != 0 {
		t.Errorf("%d bytes are left, of %v", group.bytes, group.clients)
	}
}

// What is made of a request that was made in this process is charged to a ticket. A
// request that there is no room for holds nothing, and comes again.
func TestConsumer(t *testing.T) {
	t.Parallel()
	budget := newBudget(1 << 20)
	var used []int64
	next := pipeline.ConsumerFunc(func(ctx context.Context, b *pipeline.Batch) error {
		buf, err := b.NewBuffer(ctx, 100<<10)
		if err != nil {
			return err
		}
		defer buf.Release()
		used = append(used, budget.Stats().Used)
		return errors.New("not now")
	})
	c := &Consumer{Next: next, Budget: budget, Client: "receiver"}
	b := pipeline.NewUncheckedBatch(otlp.Profiles, make([]byte, 0, 2000), 0, nil)
	defer b.Release()
	for range 2 {
		if err := c.Consume(t.Context(), b); err == nil || err.Error() != "not now" {
			t.Errorf("got %v", err)
		}
	}
	if len(used) != 2 || used[0] < 100<<10+2000 || used[1] != used[0] {
		t.Errorf("%d bytes were charged", used)
	}
	if n := budget.Stats().Used; n != 0 {
		t.Errorf("a request that waits holds %d bytes", n)
	}
	hold, err := budget.Acquire(t.Context(), "another", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Consume(t.Context(), b)
	if e := pipeline.Classify(err); e.Kind != pipeline.Overloaded || e.RetryAfter <= 0 || len(used) != 2 {
		t.Errorf("no room: got %v", err)
	}
	hold.Release()
	huge := pipeline.NewUncheckedBatch(otlp.Profiles, make([]byte, 0, 2<<20), 0, nil)
	defer huge.Release()
	if e := pipeline.Classify(c.Consume(t.Context(), huge)); e.Kind != pipeline.Permanent {
		t.Errorf("larger than the budget: got %v", e)
	}
}

// Try leaves a quarter of a group's half free, and an account no more than is free.
func TestTry(t *testing.T) {
	t.Parallel()
	budget := newBudget(16 << 20)
	var group Group
	held := map[string]*int64{}
	account := func(client string) *Account {
		held[client] = new(int64)
		return New(Config{Budget: budget, Group: &group, Client: client, Bytes: func() int64 { return *held[client] }})
	}
	fill := func(a *Account) int64 {
		for a.Try(stepBytes) {
			*held[a.Client] += stepBytes
		}
		return *held[a.Client]
	}
	a, b := account("a"), account("b")
	defer a.Close()
	defer b.Close()
	if n := fill(a); n < 2<<20 || n > 4<<20 { // at most half of 8 MiB
		t.Errorf("the first account has %d bytes", n)
	}
	if n := fill(b); n < 500<<10 || n > 2<<20 {
		t.Errorf("the second account has %d bytes", n)
	}
	if err := a.Reserve(t.Context(), 1<<20); err != nil {
		t.Errorf("what cannot be done without: %v", err)
	}
	if unbounded := New(Config{}); !unbounded.Try(1 << 40) {
		t.Error("there is no budget")
	}
}
