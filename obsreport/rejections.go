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

// Bounds of the log of rejections. Together they allow at most 2 lines for each
// tracked client and reason in rejectionEvery.
const (
	rejectionEvery     = 10 * time.Second
	maxRejections      = 1024 // clients and reasons that are tracked
	maxRejectionsAtEnd = 16   // that Close logs individually
	maxClientBytes     = 256
	maxMessageBytes    = 512
)

// Rejections logs the requests that a receiver refused, with client and reason:
// the first of a client and reason immediately, then at most one line in 10 s
// with the count of requests since. It is safe for concurrent use.
//
//	Note ─► clients[client, reason] ── due? ──► one line
//	            │ full: the entry that was logged longest ago is replaced,
//	            ▼ if that was 10 s ago
//	        others ── due? ──► one line for all of them
//
// Text from a client (its name, the message about its data) is escaped before
// it is logged.
type Rejections struct {
	log *slog.Logger

	mu      sync.Mutex
	clients map[rejectionKey]*list.Element
	logged  *list.List // of *rejection, longest ago first
	others  rejection
}

type rejectionKey struct {
	client string // truncated, not escaped
	reason Reason
}

// rejection has the counts of one client and reason.
type rejection struct {
	key      rejectionKey
	lines    lograte.Limiter
	unlogged rejected
}

// rejected adds up requests.
type rejected struct{ requests, items, bytes int64 }

// line is one line to be logged.
type line struct {
	key rejectionKey
	rejected
}

// NewRejections returns a Rejections that writes to log. The caller must call
// Close.
func NewRejections(log *slog.Logger) *Rejections {
	return &Rejections{log: log, clients: map[rejectionKey]*list.Element{}, logged: list.New(),
		others: rejection{key: rejectionKey{client: "others"}}}
}

// Note records one refused request. client is the address of the sender without
// the port, which differs for each connection; signal may be 0; items and bytes
// are 0 if unknown.
func (r *Rejections) Note(client string, signal otlp.Signal, why Reason, message string, items, bytes int) {
	ctx := context.Background()
	if !r.log.Enabled(ctx, slog.LevelWarn) {
		return
	}
	key := rejectionKey{client[:min(len(client), maxClientBytes)], why.known()}
	now, replaced := r.count(key, rejected{1, int64(items), int64(bytes)})
	// Log without holding the lock, since the log may be slow.
	if replaced.requests > 0 {
		r.logRest(ctx, replaced)
	}
	if now.requests == 0 {
		return
	}
	text := "refused a request (logged at most once in " + rejectionEvery.String() + " for each client and reason)"
	if now.key != key {
		text = "refused requests of clients that are not tracked individually"
	}
	r.log.LogAttrs(ctx, slog.LevelWarn, text, append(now.attrs(),
		slog.String("signal", signalName(signal)), slog.String("error", escaped(message, maxMessageBytes)))...)
}

// count returns the line to log about key, and one about the client that it
// replaced. Their requests are 0 if there is nothing to log.
func (r *Rejections) count(key rejectionKey, one rejected) (now, replaced line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, known := r.clients[key]
	if !known {
		if len(r.clients) >= maxRejections {
			oldest := r.logged.Front().Value.(*rejection)
			if oldest.lines.Recent(rejectionEvery) {
				now, _ = r.others.add(one)
				return now, replaced
			}
			replaced = oldest.rest()
			delete(r.clients, oldest.key)
			r.logged.Remove(r.logged.Front())
		}
		key.client = strings.Clone(key.client) // it may be part of a large string
		at = r.logged.PushBack(&rejection{key: key})
		r.clients[key] = at
	}
	now, due := at.Value.(*rejection).add(one)
	if due {
		r.logged.MoveToBack(at)
	}
	return now, replaced
}

// add returns the line to log, if one is due.
func (c *rejection) add(one rejected) (now line, due bool) {
	c.unlogged.items += one.items
	c.unlogged.bytes += one.bytes
	times, due := c.lines.Allow(rejectionEvery)
	if !due {
		return line{}, false
	}
	now = line{c.key, c.unlogged}
	now.requests, c.unlogged = times, rejected{}
	return now, true
}

// rest returns a line about the requests that have not been logged.
func (c *rejection) rest() line {
	l := line{c.key, c.unlogged}
	l.requests, c.unlogged = c.lines.Pending(), rejected{}
	return l
}

// Close logs the requests that have not been logged. Rejections can still be
// used, for the last requests during shutdown; another Close logs those.
func (r *Rejections) Close() {
	r.mu.Lock()
	var lines []line
	others := r.others.rest()
	for at := r.logged.Front(); at != nil; at = at.Next() {
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
		r.logRest(context.Background(), l)
	}
}

func (r *Rejections) logRest(ctx context.Context, l line) {
	r.log.LogAttrs(ctx, slog.LevelWarn, "refused requests not logged individually", l.attrs()...)
}

func (l line) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("client", escaped(l.key.client, maxClientBytes))}
	if l.key.reason != ReasonNone { // others has many reasons
		attrs = append(attrs, slog.String("reason", l.key.reason.String()))
	}
	return append(attrs, slog.Int64("requests", l.requests), slog.Int64("items", l.items), slog.Int64("bytes", l.bytes))
}

// escaped returns s with all characters escaped that are not printable (line
// ends, terminal colours, changes of direction, invalid UTF-8), truncated to
// maxBytes.
func escaped(s string, maxBytes int) string {
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
