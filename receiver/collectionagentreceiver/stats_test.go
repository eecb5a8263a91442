package collectionagentreceiver

import (
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
)

// The stats of the receiver include those of all earlier reporters: they do not
// decrease when a reporter is removed.
func TestStatsOutliveReporters(t *testing.T) {
	r := newRig(t, testConfig(), component.Settings{})
	client := r.client()
	for i := byte(1); i <= 3; i++ {
		if _, err := client.Report(t.Context(), one(i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	s := r.sessions()
	before := s.flow(otlp.Profiles)
	if before.Reported == 0 || before.Held != before.Reported {
		t.Fatalf("nothing is held: %+v", before)
	}
	s.mu.Lock()
	for id, one := range s.of {
		s.remove(id, one)
		break
	}
	s.mu.Unlock()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		now := s.flow(otlp.Profiles)
		if now.Reported != before.Reported || now.Acknowledged+now.Held != before.Reported || now.Acknowledged < before.Acknowledged {
			t.Fatalf("%+v was reported, now it is %+v", before, now)
		}
		s.mu.Lock()
		gone := len(s.of) == 2 && len(s.ending) == 0
		s.mu.Unlock()
		if gone && now.Acknowledged == before.Reported/3 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("the session is not gone: %+v", s.flow(otlp.Profiles))
}
