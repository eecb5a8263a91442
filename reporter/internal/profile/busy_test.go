package profile

import (
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

// A caller that finds a shard busy uses the one beside it without waiting, and the result
// is the same.
func TestBusyShard(t *testing.T) {
	t.Parallel()
	u := newUniverse()
	e := event{time: epoch, value: 1}
	s := newStore()
	u.report(s, e)
	var home *shard
	for i := range s.shards {
		if s.shards[i].t.log.events() > 0 {
			home = &s.shards[i]
		}
	}
	home.mu.Lock()
	for range 3 {
		u.report(s, e) // it would hang here
	}
	home.mu.Unlock()
	if n := home.t.log.events(); n != 1 {
		t.Fatalf("%d events are in the busy shard, expected the one from before", n)
	}
	if c := s.Counts(); c.Reported != 4 || c.Held != 4 {
		t.Errorf("4 events were reported, counted are %+v", c)
	}
	requests, all, _ := write(t, s, Options{})
	if got := testkit.ProfileSamples(t, requests...); len(got) != 1 || all.Events != 4 {
		t.Errorf("4 events of one sample became %d samples with %d events", len(got), all.Events)
	}
}
