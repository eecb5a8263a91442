package delivery

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// What is sent from memory has of its client what the journal has: no more, and the same
// as after a restart. Requests without content are sent too.
func TestFromMemoryAsFromDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []*pipeline.Client
		next := pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, b.Client())
			return nil
		})
		before := pipeline.Live()
		dir := disk(t, vfs.NewMem(16<<20))
		p := open(t, dir, DestinationConfig{Next: next})
		send := func(body []byte) {
			client := &pipeline.Client{Addr: "10.0.0.1:1", Transport: "grpc", Metadata: map[string][]string{"tenant": {"a"}, "authorization": {"secret"}},
				Identity: &pipeline.Identity{Subject: "s", Attributes: map[string]string{"token": "secret"}}}
			b, err := pipeline.NewBatch(otlp.Logs, body, client)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Release()
			if err := p.log.Consume(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		p.dest.Start()
		for range 3 { // one after the other, from memory
			send(logRequest("x"))
			synctest.Wait()
		}
		send(nil)
		synctest.Wait()
		if l := p.balanced(); l.Held != 0 || l.Delivered != 3 || l.HeldRequests != 0 {
			t.Errorf("%+v", l)
		}
		p.end()
		p = open(t, dir, DestinationConfig{Next: next})
		send(logRequest("x"))
		send(logRequest("x"))
		p.end() // before it was started
		p = open(t, dir, DestinationConfig{Next: next})
		p.dest.Start()
		synctest.Wait()
		p.end()
		if len(got) != 5 {
			t.Fatalf("%d requests, want 4 from memory and one from disk", len(got))
		}
		for i, c := range got {
			if !maps.EqualFunc(c.Metadata, map[string][]string{"tenant": {"a"}}, slices.Equal) || c.Identity == nil || c.Identity.Subject != "s" || len(c.Identity.Attributes) > 0 {
				t.Errorf("request %d: %v, %+v", i, c.Metadata, c.Identity)
			}
		}
		if n := pipeline.Live(); n != before {
			t.Errorf("%d batches are left", n-before)
		}
	})
}

// Large requests are not merged unless that is asked for; small ones between them are.
func TestLargeRequestsAreNotMerged(t *testing.T) {
	large := strings.Repeat("x", sentAlone)
	for name, c := range map[string]struct {
		merge Merge
		want  []int // items of the requests
	}{
		"by default": {Merge{}, []int{1, 1, 1, 2, 2}},
		"asked for":  {Merge{MaxBytes: 8 << 20}, []int{7}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var got []int
				next := pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, b.Items())
					return nil
				})
				p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: next, Merge: c.merge})
				for _, body := range []string{large, "a", "b", large, large, "c", "d"} {
					if err := p.consume("", body); err != nil {
						t.Fatal(err)
					}
				}
				p.dest.Start()
				synctest.Wait()
				p.end()
				if slices.Sort(got); !slices.Equal(got, c.want) {
					t.Errorf("requests of %v items, want %v", got, c.want)
				}
			})
		})
	}
}
