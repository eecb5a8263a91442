package journal

import (
	"context"
	"slices"
)

// View reads what a cursor has not acknowledged, from the oldest on, and leaves the
// cursor where it is. It lives in memory only. Until Close no segment is removed that it
// had to read. It is for one goroutine; the cursor may be used at the same time.
type View struct{ c *Cursor }

// View makes a view of what the cursor has now. What the view finds damaged is lost for
// the cursor.
func (c *Cursor) View() *View {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	v := &Cursor{j: c.j, name: c.name, of: c, marks: marks{low: c.low, base: c.base, gaps: slices.Clone(c.gaps)}, read: c.low, readAt: c.base}
	c.j.views[v] = true
	return &View{v}
}

// TryNext is as of a Cursor. Records that are appended meanwhile are among them.
func (v *View) TryNext(ctx context.Context) (e Entry, ok bool, err error) { return v.c.TryNext(ctx) }

// Read is as of a Cursor. The entry can be acknowledged on the cursor.
func (v *View) Read(ctx context.Context, e Entry, buf []byte) error { return v.c.Read(ctx, e, buf) }

// Close ends the view.
func (v *View) Close() {
	j := v.c.j
	j.mu.Lock()
	delete(j.views, v.c)
	v.c.removed = true
	passed := j.passed() > 0
	j.mu.Unlock()
	if passed {
		j.tend()
	}
}
