package obsreport

import (
	"container/list"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Bounds of the log of rejections. Together they allow 2 lines for each
// remembered client and reason in rejectionEvery, whatever comes in.
const (
	rejectionEvery     = 10 * time.Second
	maxRejections      = 1024 // clients and reasons that are remembered
	maxRejectionsAtEnd = 16   // that Close tells of one by one
	maxClientBytes     = 256
	maxMessageBytes    = 512
)

// Rejections writes into the log whose requests a receiver refused, and why: the
// first of a client and reason at once, then at most one line in 10 s with the
// count of those in between. It is safe for concurrent use.
//
//	Note ─► clients[client, reason] ── due? ──► one line
//	            │ full: the one that was logged longest ago makes room,
//	            ▼ if that was 10 s ago
//	        others ── due? ──► one line for all of them
//
// What a client says (its name, the message about its data) is made harmless
// before it is logged.
type Rejections struct {
	log *slog.Logger

	mu      sync.Mutex
	clients map[rejectionKey]*list.Element
	told    *list.List // of *rejection, longest ago first
	others  rejection
}

type rejectionKey struct {
	client string // clipped, not yet made harmless
	reason Reason
}

// rejection is what is known of one client and reason.
type rejection struct {
	key    rejectionKey
	lines  lograte.Limiter
	untold rejected
}

// rejected adds up requests.
type rejected struct{ requests, items, bytes int64 }

// line is one line of the log that is to be written.
type line struct {
	key rejectionKey
	rejected
}

// NewRejections returns a log of rejections that writes to log. Close it.
func NewRejections(log *slog.Logger) *Rejections {
	return &Rejections{log: log, clients: map[rejectionKey]*list.Element{}, told: list.New(),
		others: rejection{key: rejectionKey{client: "others"}}}
}

// Note tells of one request that was refused. client is who sent it, without
// what changes with each connection (the port); signal may be 0; items and bytes
// are as far as known.
func (r *Rejections) Note(client string, signal otlp.Signal, why Reason, message string, items, bytes int) {
	ctx := context.Background()
	if !r.log.Enabled(ctx, slog.LevelWarn) {
		return
	}
	key := rejectionKey{client[:min(len(client), maxClientBytes)], why.known()}
	now, gone := r.count(key, rejected{1, int64(items), int64(bytes)})
	// The lock is free here: a log may be slow.
	if gone.requests > 0 {
		r.untold(ctx, gone)
	}
	if now.requests == 0 {
		return
	}
	text := "refused a request (told once in " + rejectionEvery.String() + " for a client and reason)"
	if now.key != key {
		text = "refused requests of more clients than are remembered"
	}
	r.log.LogAttrs(ctx, slog.LevelWarn, text, append(now.attrs(),
		slog.String("signal", signalName(signal)), slog.String("error", harmless(message, maxMessageBytes)))...)
}

// count returns the line to write about key, and one about a client that was
// forgotten for it. Their requests are 0 where there is nothing to write.
func (r *Rejections) count(key rejectionKey, one rejected) (now, gone line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, known := r.clients[key]
	if !known {
		if len(r.clients) >= maxRejections {
			oldest := r.told.Front().Value.(*rejection)
			if oldest.lines.Recent(rejectionEvery) {
				now, _ = r.others.add(one)
				return now, gone
			}
			gone = oldest.rest()
			delete(r.clients, oldest.key)
			r.told.Remove(r.told.Front())
		}
		key.client = strings.Clone(key.client) // it may be a part of something large
		at = r.told.PushBack(&rejection{key: key})
		r.clients[key] = at
	}
	now, tell := at.Value.(*rejection).add(one)
	if tell {
		r.told.MoveToBack(at)
	}
	return now, gone
}

// add returns the line to write, if it is time for one.
func (c *rejection) add(one rejected) (now line, tell bool) {
	c.untold.items += one.items
	c.untold.bytes += one.bytes
	times, tell := c.lines.Allow(rejectionEvery)
	if !tell {
		return line{}, false
	}
	now = line{c.key, c.untold}
	now.requests, c.untold = times, rejected{}
	return now, true
}

// rest returns a line about what was not told yet.
func (c *rejection) rest() line {
	l := line{c.key, c.untold}
	l.requests, c.untold = c.lines.Pending(), rejected{}
	return l
}

// Close tells what was left untold. Rejections goes on working, so that the last
// requests of a receiver that stops are not lost; another Close tells of those.
func (r *Rejections) Close() {
	r.mu.Lock()
	var lines []line
	others := r.others.rest()
	for at := r.told.Front(); at != nil; at = at.Next() {
		l := at.Value.(*rejection).rest()
		switch {
		case l.requests == 0:
		case len(lines) < maxRejectionsAtEnd:
			lines = append(lines, l)
		default:
			others.requests += l.requests
			others.items += l.items
			others.bytes += l.bytes
		}
	}
	r.mu.Unlock()
	if others.requests > 0 {
		lines = append(lines, others)
	}
	for _, l := range lines {
		r.untold(context.Background(), l)
	}
}

func (r *Rejections) untold(ctx context.Context, l line) {
	r.log.LogAttrs(ctx, slog.LevelWarn, "refused requests not logged individually", l.attrs()...)
}

func (l line) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("client", harmless(l.key.client, maxClientBytes))}
	if l.key.reason != ReasonNone { // the others have many
		attrs = append(attrs, slog.String("reason", l.key.reason.String()))
	}
	return append(attrs, slog.Int64("requests", l.requests), slog.Int64("items", l.items), slog.Int64("bytes", l.bytes))
}

// harmless returns s with everything escaped that is not printable (line ends,
// colours of a terminal, changes of direction, bytes that are no text), cut off
// at maxBytes.
func harmless(s string, maxBytes int) string {
	var out []byte
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		escape := [16]byte{}
		text := s[i : i+n]
		switch {
		case c == utf8.RuneError && n == 1:
			text = `\x` + strconv.FormatUint(uint64(s[i]), 16)
		case !strconv.IsPrint(c):
			quoted := strconv.AppendQuoteRune(escape[:0], c)
			text = string(quoted[1 : len(quoted)-1])
		}
		if len(out)+len(text) > maxBytes {
			return string(out) + "…"
		}
		out = append(out, text...)
		i += n
	}
	return string(out)
}
