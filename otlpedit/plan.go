package otlpedit

// Levels is a set of levels of a request.
type Levels uint8

// The levels, outermost first.
const (
	// Resources are the Resource of each ResourceX, also where it has none.
	Resources Levels = 1 << iota
	// Scopes are the InstrumentationScope of each ScopeX, also where it has none.
	Scopes
	// Items are spans, metrics, log records and profiles.
	Items
)

// has reports whether s has one of the levels of other.
func (s Levels) has(other Levels) bool { return s&other != 0 }

// below returns the levels inside the outermost one of s.
func (s Levels) below() Levels {
	outermost := s & -s
	return (Resources | Scopes | Items) &^ (outermost | (outermost - 1))
}

// A Plan is what a processor does to a request. It is safe for concurrent use.
type Plan struct {
	// Edits are the levels whose messages the editors want to see.
	Edits Levels
	// Drops are those levels of Edits on which an editor may answer Drop, or
	// replace a metric or a profile by one with another number of data points or
	// samples. To drop a resource drops its ResourceX with all that is in it; to
	// drop a scope its ScopeX.
	Drops Levels
	// Reads are the levels that an editor asks the Pass for while it edits a level
	// below them.
	Reads Levels
	// Sets are the levels whose message an editor may set (Pass.SetOwn) while it edits
	// a level below them. A request with such a plan is always copied, and the plan is
	// not fused with others.
	Sets Levels
	// Adds: an editor may add items (Pass.AddItem). Two such plans are not fused: the
	// items that one adds stand before those of a later one.
	Adds bool
	// New makes an editor. A Pass makes one of each plan and uses it for many
	// requests.
	New func() Editor
}

// An Editor edits the messages of one request after the other. It is used by one
// goroutine at a time.
type Editor interface {
	// Edit decides about message m of one level, which is nil where there is none
	// (a ResourceX without a Resource, a ScopeX without a Scope). With Replace it
	// has written to w what stands in m's place; w is empty at first, and what is
	// written beside another verdict is ignored. An error ends the pass.
	Edit(p *Pass, level Levels, m []byte, w *Writer) (Verdict, error)
	// End is called at the end of each request. What points into the request must
	// be forgotten.
	End()
}

// EditorFunc is an Editor that remembers nothing from one message to the next.
type EditorFunc func(p *Pass, level Levels, m []byte, w *Writer) (Verdict, error)

// Edit calls f.
func (f EditorFunc) Edit(p *Pass, level Levels, m []byte, w *Writer) (Verdict, error) {
	return f(p, level, m, w)
}

// End does nothing.
func (EditorFunc) End() {}

// A Verdict is what becomes of a message.
type Verdict uint8

// The verdicts.
const (
	Keep    Verdict = iota // it stays as it is
	Replace                // it is replaced by what was written
	Drop                   // it goes
)

// Fusable reports whether one pass with all plans has the same result as one
// pass for each, in their order. In one pass a plan's edits of resources come
// before the edits of items by all plans, also by those before it. So plans are
// not fusable where a later one goes back up to a level and
//
//   - an earlier one reads that level while it edits one below, or
//   - drops there what an earlier one would have been given below,
//
// nor where one of them sets messages of levels above the one it edits, or two add items.
func Fusable(plans ...Plan) bool {
	for i, later := range plans {
		for _, earlier := range plans[:i] {
			if later.Sets|earlier.Sets != 0 || later.Adds && earlier.Adds || later.Edits.has(earlier.Reads) || later.Drops.below().has(earlier.Edits) {
				return false
			}
		}
	}
	return true
}
