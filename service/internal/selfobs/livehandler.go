package selfobs

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
)

// liveHandler is a slog.Handler that passes records to the current handler of root. The
// handlers that are derived from it follow when that is replaced.
type liveHandler struct {
	root    *live[slog.Handler]
	steps   []func(slog.Handler) slog.Handler // what WithAttrs and WithGroup were called with
	derived atomic.Pointer[derivedHandler]
}

// derivedHandler is the result of the steps for one handler of the root.
type derivedHandler struct {
	of *generation[slog.Handler]
	slog.Handler
}

// from returns the handler for a generation of the root.
func (h *liveHandler) from(g *generation[slog.Handler]) slog.Handler {
	if d := h.derived.Load(); d != nil && d.of == g {
		return d.Handler
	}
	next := g.value
	for _, step := range h.steps {
		next = step(next)
	}
	h.derived.Store(&derivedHandler{g, next})
	return next
}

// Enabled implements slog.Handler.
func (h *liveHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.from(h.root.current.Load()).Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *liveHandler) Handle(ctx context.Context, r slog.Record) error {
	g := h.root.begin()
	defer g.done()
	return h.from(g).Handle(ctx, r)
}

func (h *liveHandler) with(step func(slog.Handler) slog.Handler) *liveHandler {
	return &liveHandler{root: h.root, steps: append(slices.Clip(h.steps), step)}
}

// WithAttrs implements slog.Handler.
func (h *liveHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return h.with(func(next slog.Handler) slog.Handler { return next.WithAttrs(as) })
}

// WithGroup implements slog.Handler.
func (h *liveHandler) WithGroup(name string) slog.Handler {
	return h.with(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}
