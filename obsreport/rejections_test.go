package obsreport

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// journal is a log in JSON.
type journal struct{ testkit.Log }

// entry is what a line of the log says.
type entry struct {
	Level, Msg, Client, Reason, Signal, Error string
	Requests, Items, Bytes                    int64
}

// read returns the lines since the last call.
func (j *journal) read(t *testing.T) (entries []entry) {
	t.Helper()
	for text := range strings.Lines(j.Reset()) {
		var e entry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%v in line %q", err, text)
		}
		entries = append(entries, e)
	}
	return entries
}

func newRejections() (*Rejections, *journal) {
	j := &journal{}
	return NewRejections(slog.New(slog.NewJSONHandler(j, nil))), j
}

const (
	textOne    = "refused a request (told once in 10s for a client and reason)"
	textOthers = "refused requests of more clients than are remembered"
	textUntold = "refused requests not logged individually"
)

func expect(t *testing.T, j *journal, when string, want ...entry) {
	t.Helper()
	for i := range want {
		want[i].Level = "WARN"
	}
	if diff := cmp.Diff(want, j.read(t)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestRejectionsAreToldOnceInAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, j := newRejections()
		one := entry{Msg: textOne, Client: "10.0.0.1", Reason: "decode", Signal: "traces", Error: "bad tag at byte 7", Requests: 1, Items: 3, Bytes: 100}
		note := func() { r.Note("10.0.0.1", otlp.Traces, ReasonDecode, "bad tag at byte 7", 3, 100) }
		note()
		expect(t, j, "the first", one)
		for range 9 {
			time.Sleep(time.Second)
			note()
		}
		expect(t, j, "within 10 s")
		r.Note("10.0.0.1", 0, ReasonAuth, "no token", 0, 0)
		expect(t, j, "another reason", entry{Msg: textOne, Client: "10.0.0.1", Reason: "auth", Signal: "unknown", Error: "no token", Requests: 1})
		r.Note("10.0.0.2", otlp.Logs, ReasonDecode, "truncated", 0, 5)
		expect(t, j, "another client", entry{Msg: textOne, Client: "10.0.0.2", Reason: "decode", Signal: "logs", Error: "truncated", Requests: 1, Bytes: 5})
		time.Sleep(time.Second)
		note()
		one.Requests, one.Items, one.Bytes = 10, 30, 1000
		expect(t, j, "after 10 s", one)
		time.Sleep(time.Hour)
		note()
		one.Requests, one.Items, one.Bytes = 1, 3, 100
		expect(t, j, "after an hour", one)
	})
}

func TestRejectionsCloseTellsTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, j := newRejections()
		for range 5 {
			r.Note("a", otlp.Traces, ReasonAuth, "no", 2, 10)
		}
		r.Note("b", otlp.Traces, ReasonAuth, "no", 2, 10) // told, so nothing is left of it
		j.read(t)
		r.Close()
		expect(t, j, "Close", entry{Msg: textUntold, Client: "a", Reason: "auth", Requests: 4, Items: 8, Bytes: 40})
		r.Close()
		expect(t, j, "Close again")
		r.Note("b", otlp.Traces, ReasonAuth, "no", 2, 10)
		r.Close()
		expect(t, j, "Close after one more", entry{Msg: textUntold, Client: "b", Reason: "auth", Requests: 1, Items: 2, Bytes: 10})

		r, j = newRejections()
		const clients = maxRejectionsAtEnd + 7
		for range 2 {
			for i := range clients {
				r.Note(fmt.Sprint("client ", i), 0, ReasonAuth, "no", 1, 1)
			}
		}
		j.read(t)
		r.Close()
		lines := j.read(t)
		if len(lines) != maxRejectionsAtEnd+1 {
			t.Fatalf("Close wrote %d lines, want %d", len(lines), maxRejectionsAtEnd+1)
		}
		want := entry{Level: "WARN", Msg: textUntold, Client: "others", Requests: 7, Items: 7, Bytes: 7}
		if diff := cmp.Diff(want, lines[maxRejectionsAtEnd]); diff != "" {
			t.Errorf("the last line of Close (-want +got):\n%s", diff)
		}
	})
}

// A crowd of clients can neither fill the memory nor the log.
func TestRejectionsOfACrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, j := newRejections()
		crowd := func(name string, clients int) {
			for i := range clients {
				r.Note(fmt.Sprint(name, i), otlp.Logs, ReasonAuth, "no", 1, 10)
			}
		}
		crowd("first ", maxRejections)
		if n := len(j.read(t)); n != maxRejections {
			t.Errorf("%d lines about %d clients", n, maxRejections)
		}
		others := entry{Msg: textOthers, Client: "others", Signal: "logs", Error: "no", Requests: 1, Items: 1, Bytes: 10}
		crowd("second ", 5000)
		expect(t, j, "more clients", others)
		r.Note("first 0", otlp.Logs, ReasonAuth, "no", 1, 10) // not told, remembered
		time.Sleep(5 * time.Second)
		r.Note("first 0", otlp.Logs, ReasonAuth, "no", 1, 10)
		crowd("third ", 1)
		expect(t, j, "within 10 s")
		time.Sleep(5 * time.Second)

		// Now who was told of longest ago makes room, and is not forgotten silently.
		r.Note("first 1", otlp.Logs, ReasonAuth, "no", 1, 10) // told again: youngest now
		one := entry{Msg: textOne, Client: "first 1", Reason: "auth", Signal: "logs", Error: "no", Requests: 1, Items: 1, Bytes: 10}
		expect(t, j, "a remembered client", one)
		crowd("fourth ", maxRejections-1)
		lines := j.read(t)
		if len(lines) != maxRejections {
			t.Errorf("%d lines, want one for each new client and one about a forgotten one", len(lines))
		}
		forgotten := entry{Level: "WARN", Msg: textUntold, Client: "first 0", Reason: "auth", Requests: 2, Items: 2, Bytes: 20}
		if diff := cmp.Diff(forgotten, lines[0]); diff != "" {
			t.Errorf("the first line (-want +got):\n%s", diff)
		}
		crowd("fifth ", 1)
		others.Requests, others.Items, others.Bytes = 5001, 5001, 50010
		expect(t, j, "full again", others)
		if len(r.clients) != maxRejections || r.told.Len() != maxRejections {
			t.Errorf("%d clients are remembered in a list of %d, want %d", len(r.clients), r.told.Len(), maxRejections)
		}
		if _, ok := r.clients[rejectionKey{"first 1", ReasonAuth}]; !ok {
			t.Error("the client that was told of last is forgotten")
		}
	})
}

func TestRejectionsAreHarmless(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, out string }{
		{"10.0.0.1", "10.0.0.1"},
		{"fe80::1%eth0", "fe80::1%eth0"},
		{`unknown encoding "x"`, `unknown encoding "x"`},
		{"a\nlevel=ERROR msg=owned", `a\nlevel=ERROR msg=owned`},
		{"a\r\x00\x7f\x1b[31m", `a\r\x00\x7f\x1b[31m`},
		{"Zürich 東京", "Zürich 東京"},
		{"a\u202eb\u2028c\ufeff", `a\u202eb\u2028c\ufeff`},
		{"\xff\xfe\x80", `\xff\xfe\x80`},
		{"\u00a0\U000e0001", `\u00a0\U000e0001`},
		{"", ""},
	} {
		r, j := newRejections()
		r.Note(c.in, 0, ReasonAuth, c.in, 0, 0)
		expect(t, j, c.in, entry{Msg: textOne, Client: c.out, Reason: "auth", Signal: "unknown", Error: c.out, Requests: 1})
	}
	for _, unit := range []string{"x", "\n", "東", "\xff"} {
		r, j := newRejections()
		long := strings.Repeat(unit, 1<<20/len(unit))
		r.Note(long, 0, ReasonAuth, long, 0, 0)
		r.Note(long[:maxClientBytes]+"y", 0, ReasonAuth, long, 0, 0) // the same as far as is looked at
		lines := j.read(t)
		if len(lines) != 1 {
			t.Fatalf("%d lines, want 1", len(lines))
		}
		if n, m := len(lines[0].Client), len(lines[0].Error); n > maxClientBytes+3 || n < maxClientBytes-5 || m > maxMessageBytes+3 || m < maxMessageBytes-5 {
			t.Errorf("%q: a client of %d and a message of %d bytes", unit, n, m)
		}
		for key := range r.clients {
			if len(key.client) > maxClientBytes {
				t.Errorf("%d bytes of a client are remembered", len(key.client))
			}
		}
	}
}

func TestRejectionsBelowTheLevel(t *testing.T) {
	t.Parallel()
	j := &journal{}
	r := NewRejections(slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelError})))
	r.Note("a", 0, ReasonAuth, "no", 0, 0)
	r.Close()
	expect(t, j, "nobody listens")
}

// Nobody waits for a log that is slow, and no request is lost count of.
func TestRejectionsAtOnce(t *testing.T) {
	t.Parallel()
	r, j := newRejections()
	const workers, rounds = 8, 500
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				r.Note(fmt.Sprint(w%3), otlp.Traces, Reason(1+i%5), "no", 2, 3)
				if i%100 == 0 {
					r.Close()
				}
			}
		})
	}
	wg.Wait()
	r.Close()
	var sum entry
	for _, e := range j.read(t) {
		sum.Requests += e.Requests
		sum.Items += e.Items
		sum.Bytes += e.Bytes
	}
	if want := (entry{Requests: workers * rounds, Items: 2 * workers * rounds, Bytes: 3 * workers * rounds}); sum != want {
		t.Errorf("%+v told, want %+v", sum, want)
	}
}

// stuckHandler is a log that writes nothing until it may.
type stuckHandler struct {
	slog.Handler
	entered chan struct{}
	free    chan struct{}
}

func (h stuckHandler) Handle(context.Context, slog.Record) error {
	h.entered <- struct{}{}
	<-h.free
	return nil
}

func TestRejectionsDoNotWaitForTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := stuckHandler{slog.DiscardHandler.WithGroup("x"), make(chan struct{}), make(chan struct{})}
		r := NewRejections(slog.New(alwaysOn{h}))
		go r.Note("a", 0, ReasonAuth, "no", 0, 0)
		<-h.entered
		r.Note("a", 0, ReasonAuth, "no", 0, 0) // suppressed: no log, no wait; a deadlock ends the test
		close(h.free)
	})
}

type alwaysOn struct{ stuckHandler }

func (alwaysOn) Enabled(context.Context, slog.Level) bool { return true }

func TestSuppressedRejectionsDoNotAllocate(t *testing.T) {
	r, _ := newRejections()
	note := func() { r.Note("10.0.0.1", otlp.Traces, ReasonDecode, "bad tag", 3, 100) }
	note()
	if n := testing.AllocsPerRun(100, note); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
	long := strings.Repeat("\n", 1<<16)
	r.Note(long, 0, ReasonAuth, long, 0, 0)
	if n := testing.AllocsPerRun(100, func() { r.Note(long, 0, ReasonAuth, long, 0, 0) }); n > 0 {
		t.Errorf("%v allocations for a long client, want none", n)
	}
	for i := range maxRejections + 1 {
		r.Note(fmt.Sprint(i), 0, ReasonAuth, "no", 0, 0)
	}
	if n := testing.AllocsPerRun(100, func() { r.Note("one too many", 0, ReasonAuth, "no", 0, 0) }); n > 0 {
		t.Errorf("%v allocations for a client that is not remembered, want none", n)
	}
}

func BenchmarkRejectionSuppressed(b *testing.B) {
	r, _ := newRejections()
	b.ReportAllocs()
	for b.Loop() {
		r.Note("10.0.0.1", otlp.Traces, ReasonDecode, "bad tag", 3, 100)
	}
}
