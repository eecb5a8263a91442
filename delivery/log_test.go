package delivery

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// An outage is logged at its beginning, every ten minutes, and at its end.
func TestOutageIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testkit.Log{}
		begin := time.Now()
		down := func() bool { return time.Since(begin) < 35*time.Minute }
		q := New(Config{Logger: log.Logger(), Next: pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error {
			if down() {
				return errDown
			}
			return nil
		})})
		q.Start()
		for range 5 {
			q.Add(payload(100))
		}
		time.Sleep(time.Hour)
		first, still, over := log.Lines("does not take requests; they are kept"), log.Lines("still does not take"), log.Lines("answers again")
		if len(first) != 1 || len(still) != 3 || len(over) != 1 || len(log.Lines("level=")) != 5 {
			t.Fatalf("want 1 + 3 + 1 lines: %q", log.Lines(""))
		}
		if !strings.Contains(first[0], "level=WARN") || !strings.Contains(first[0], "error=down") || !strings.Contains(first[0], "signal=profiles") {
			t.Errorf("%q", first[0])
		}
		_, after, _ := strings.Cut(over[0], "after=")
		after, _, _ = strings.Cut(after, " ")
		if lasted, err := time.ParseDuration(after); err != nil || lasted < 35*time.Minute || lasted > 36*time.Minute ||
			!strings.Contains(over[0], "level=INFO") || number(t, over[0], "requests_waiting") != 5 {
			t.Errorf("%q", over[0])
		}
		q.Shutdown(t.Context())
		q.expect(t, Stats{Added: 500, Delivered: 500, Retries: q.Stats(otlp.Profiles).Retries})
	})
}

// A destination that comes and goes with every request is logged once a minute.
func TestFlappingIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testkit.Log{}
		calls := 0
		q := New(Config{Logger: log.Logger(), Next: pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error {
			if calls++; calls%2 == 1 {
				return errDown
			}
			return nil
		})})
		q.Start()
		for range 600 { // ten minutes
			q.Add(payload(100))
			time.Sleep(time.Second)
		}
		first, over := len(log.Lines("they are kept")), len(log.Lines("answers again"))
		if first < 9 || first > 11 || over < first-1 || over > first {
			t.Errorf("%d warnings, %d ends in ten minutes, want about 10 each", first, over)
		}
		q.Shutdown(t.Context())
	})
}

// The first drop for a reason is logged at once, the next ones once a minute, and in
// sum all of them.
func TestDropsAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testkit.Log{}
		q := New(Config{Logger: log.Logger(), Next: pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error {
			if len(b.Bytes())%2 == 0 {
				return refuse(pipeline.Permanent)
			}
			return &pipeline.Error{Kind: pipeline.Partial, Rejected: 1, Err: errDown}
		})})
		q.Start()
		q.Add(payload(100))
		synctest.Wait()
		if lines := log.Lines("reason=refused"); len(lines) != 1 || !strings.Contains(lines[0], "error=down") ||
			number(t, lines[0], "items") != 100 || strings.Contains(lines[0], "hint") {
			t.Errorf("%q", lines)
		}
		for i := range 299 { // five minutes in all
			time.Sleep(time.Second)
			q.Add(payload(101 + i))
		}
		q.Shutdown(t.Context())
		a := q.Stats(otlp.Profiles)
		for _, why := range []Reason{Refused, Rejected} {
			lines, logged := log.Lines("reason="+why.String()), int64(0)
			for _, line := range lines {
				logged += number(t, line, "items")
			}
			if len(lines) < 5 || len(lines) > 6 || logged != a.Dropped[why] || logged == 0 {
				t.Errorf("%s: %d lines have %d items, %d were dropped", why, len(lines), logged, a.Dropped[why])
			}
		}
	})
}

// The panic of a processor is a drop like any other, and the log has its stack.
func TestPanicOfAProcessorIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testkit.Log{}
		bad := pipeline.Step{Name: "bad/1", Processor: panicking{}}
		q := New(Config{Logger: log.Logger(), Next: pipeline.Chain(pipeline.ConsumerFunc(nil), bad)})
		q.Start()
		q.Add(payload(100))
		q.Shutdown(t.Context())
		lines := log.Lines("reason=refused")
		if len(lines) != 1 {
			t.Fatalf("%q", lines)
		}
		for _, want := range []string{`internal error in processor \"bad/1\"`, "panic=secret", "panicking.Process"} {
			if !strings.Contains(lines[0], want) {
				t.Errorf("%s is missing: %s", want, lines[0])
			}
		}
		q.expect(t, Stats{Added: 100, Dropped: [NumReasons]int64{Refused: 100}})
	})
}

// panicking is a processor that panics.
type panicking struct{}

func (panicking) Process(context.Context, *pipeline.Batch) (*pipeline.Batch, error) { panic("secret") }

// A destination that does not know the signal costs one request at a time, and
// the operator gets a hint.
func TestUnimplemented(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testkit.Log{}
		begin := time.Now()
		q := New(Config{Logger: log.Logger(), Next: pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error {
			if time.Since(begin) < 3*time.Second { // as while it is rolled out
				return &pipeline.Error{Kind: pipeline.Permanent, Code: uint32(codes.Unimplemented), Err: errDown}
			}
			return nil
		})})
		q.Start()
		for range 50 {
			q.Add(payload(100))
		}
		time.Sleep(time.Minute)
		q.Shutdown(t.Context())
		if a := q.Stats(otlp.Profiles); a.Dropped[Refused] < 100 || a.Dropped[Refused] > 700 || a.Dropped[Refused]+a.Delivered != 5000 {
			t.Errorf("%+v", a)
		}
		const hint = `hint="the destination does not take profiles: is the profiles signal switched on there?"`
		if lines := log.Lines("reason=refused"); len(lines) == 0 || !strings.Contains(lines[0], hint) {
			t.Errorf("%q", lines)
		}
	})
}

// What a destination keeps saying is logged once a minute.
func TestWarningsAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testkit.Log{}
		q := New(Config{Logger: log.Logger(), Next: pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error {
			return &pipeline.Error{Kind: pipeline.Partial, Err: errDown}
		})})
		q.Start()
		for range 150 {
			q.Add(payload(1))
			time.Sleep(time.Second)
		}
		if lines := log.Lines("with a warning"); len(lines) != 3 || !strings.Contains(lines[0], "warning=down") {
			t.Errorf("%q", lines)
		}
		q.Shutdown(t.Context())
		q.expect(t, Stats{Added: 150, Delivered: 150})
	})
}
