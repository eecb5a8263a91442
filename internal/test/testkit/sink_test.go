package testkit

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// batchOf returns a batch of items log records whose buffer is reused after its
// release.
func batchOf(t *testing.T, items int, client *pipeline.Client) *pipeline.Batch {
	t.Helper()
	return PooledBatch(t, otlp.Logs, Request(rngOf(uint64(items)), otlp.Logs, items), client)
}

func TestSinkKeepsCopies(t *testing.T) {
	t.Parallel()
	var k Sink
	var want [][]byte
	for items := range 5 {
		b := batchOf(t, items, &pipeline.Client{Addr: "here", Transport: "grpc"})
		want = append(want, bytes.Clone(b.Bytes()))
		err := k.Consume(context.Background(), b)
		clear(b.Bytes()) // what a later user of the buffer does
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	got := k.Requests(otlp.Logs)
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("request %d: the copy differs", i)
		}
	}
	if n := k.Items(otlp.Logs); n != 0+1+2+3+4 {
		t.Errorf("%d items", n)
	}
	if c := k.Received(otlp.Logs)[3].Client; c.Addr != "here" || c.Transport != "grpc" {
		t.Errorf("client %+v", c)
	}
	if k.Items(otlp.Traces) != 0 || len(k.Requests(otlp.Profiles)) != 0 {
		t.Error("it has batches that it was not given")
	}
}

func TestSinkFailsOnDemand(t *testing.T) {
	t.Parallel()
	var k Sink
	once, always := errors.New("once"), errors.New("always")
	partial := &pipeline.Error{Kind: pipeline.Partial, Rejected: 1, Err: once}
	k.Fail(always)
	k.FailNext(once, nil, partial)
	for i, want := range []error{once, nil, partial, always, always} {
		b := batchOf(t, 3, nil)
		if err := k.Consume(context.Background(), b); err != want {
			t.Errorf("batch %d: %v, want %v", i, err, want)
		}
		b.Release()
	}
	if got := len(k.Requests(otlp.Logs)); got != 2 || k.Calls() != 5 {
		t.Errorf("it kept %d of %d batches, want 2 of 5", got, k.Calls())
	}
	k.Fail(nil)
	b := batchOf(t, 3, nil)
	defer b.Release()
	if err := k.Consume(context.Background(), b); err != nil {
		t.Errorf("after Fail(nil): %v", err)
	}
}

func TestSinkWait(t *testing.T) {
	t.Parallel()
	var k Sink
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			b := batchOf(t, 2, nil)
			defer b.Release()
			if err := k.Consume(context.Background(), b); err != nil {
				t.Error(err)
			}
		})
	}
	k.Wait(t, otlp.Logs, 16)
	if n := k.Items(otlp.Logs); n != 16 {
		t.Errorf("%d items", n)
	}
	wg.Wait()
}

func TestSinkCapabilities(t *testing.T) {
	t.Parallel()
	if (&Sink{}).Capabilities().MutatesData || !(&Sink{Mutates: true}).Capabilities().MutatesData {
		t.Error("Mutates is not what Capabilities says")
	}
}

// A batch is offered before it is answered; Respond may block and look at the
// context.
func TestSinkResponds(t *testing.T) {
	k := Sink{CountOnly: true}
	release := make(chan struct{})
	k.Respond(func(ctx context.Context, b *pipeline.Batch) error {
		if b.Items() == 0 {
			return ctx.Err()
		}
		<-release
		return nil
	})
	done := make(chan error)
	b := batchOf(t, 3, nil)
	defer b.Release()
	go func() { done <- k.Consume(context.Background(), b) }()
	k.WaitCalls(t, 1)
	if n := k.Items(otlp.Logs); n != 0 {
		t.Errorf("%d items before the answer", n)
	}
	close(release)
	if err := <-done; err != nil || k.Items(otlp.Logs) != 3 || k.Received(otlp.Logs) != nil {
		t.Errorf("%v, %d items, %d copies", err, k.Items(otlp.Logs), len(k.Received(otlp.Logs)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	none := batchOf(t, 0, nil)
	defer none.Release()
	if err := k.Consume(ctx, none); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	k.Respond(nil)
	if n := testing.AllocsPerRun(100, func() { _ = k.Consume(context.Background(), b) }); n > 0 {
		t.Errorf("%v allocations while it counts only", n)
	}
}
