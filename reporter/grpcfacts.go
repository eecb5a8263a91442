package reporter

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"sync"

	"github.com/penstock-telemetry/penstock/libpf"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// facts is what was reported that an agent may ask for again: one that was restarted has
// lost it, and one that is short of memory may have evicted it. Of each type as many
// entries stay as its queue holds, the newest.
//
//	Report call ─► queue ─► agent
//	      └──────► facts ─────▲   what the agent's answers ask for, in requests of its own
type facts struct {
	mu          sync.Mutex
	traces      newest[libpf.TraceHash, libpf.Trace]
	frames      newest[libpf.FrameID, libpf.FrameMetadata]
	executables newest[libpf.FileID, executableEntry]
	symbols     newest[libpf.FrameID, string]
	host        map[string]string // all entries that were ever reported, the last of each key
	hostBytes   int

	wanted map[libpf.TraceHash]bool
	hosts  bool // host metadata is wanted
}

// maxHostFacts bounds the host metadata that is kept, in bytes.
const maxHostFacts = 1 << 20

func newFacts(c *Config) *facts {
	return &facts{
		traces: newNewest[libpf.TraceHash, libpf.Trace](c.FramesForTracesMaxQueue), frames: newNewest[libpf.FrameID, libpf.FrameMetadata](c.FrameMetadataMaxQueue),
		executables: newNewest[libpf.FileID, executableEntry](c.ExecMetadataMaxQueue), symbols: newNewest[libpf.FrameID, string](c.FallbackSymbolsMaxQueue),
		host: map[string]string{}, wanted: map[libpf.TraceHash]bool{},
	}
}

// trace keeps a stack, which is the caller's no more.
func (f *facts) trace(t libpf.Trace) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.traces.put(t.Hash, t)
}

func (f *facts) frame(m libpf.FrameMetadata) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := libpf.NewFrameID(m.FileID, m.AddressOrLine)
	if before, ok := f.frames.get(id); ok && m.Filename == "" {
		m.Filename = before.Filename // as the agent does
	}
	f.frames.put(id, m)
}

func (f *facts) executable(e executableEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.executables.put(e.file, e)
}

func (f *facts) symbol(s symbolEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.symbols.put(s.frame, s.symbol)
}

// hostMetadata keeps entries. Beyond the bound new keys are not kept.
func (f *facts) hostMetadata(m map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, v := range m {
		before, known := f.host[k]
		grown := len(k) + len(v)
		if known {
			grown = len(v) - len(before)
		}
		if f.hostBytes+grown > maxHostFacts || !known && len(f.host) >= collectionagentv1.MaxHostKeys {
			continue
		}
		f.host[k] = v
		f.hostBytes += grown
	}
}

// answered notes what an agent asks for.
func (f *facts) answered(r *collectionagentv1.ReportResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hosts = f.hosts || r.GetUnknownInstance()
	for _, b := range r.GetUnknownTraces() {
		if hash, err := libpf.TraceHashFromBytes(b); err == nil && len(f.wanted) < collectionagentv1.MaxUnknownTraces {
			f.wanted[hash] = true
		}
	}
}

// again puts what is asked for, as far as it is known, into the queues of to, with what
// is known of the frames. It returns how many stacks that are.
func (f *facts) again(to *GRPCReporter) (stacks int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hosts && len(f.host) > 0 {
		to.hosts.put(hostMetadata(maps.Clone(f.host)))
	}
	frames, files := map[libpf.FrameID]bool{}, map[libpf.FileID]bool{}
	for hash := range f.wanted {
		t, ok := f.traces.get(hash)
		if !ok {
			continue
		}
		stacks++
		to.traces.put(t)
		for i, file := range t.Files {
			if !files[file] {
				files[file] = true
				f.fileAgain(to, file)
			}
			if i < len(t.Linenos) {
				id := libpf.NewFrameID(file, t.Linenos[i])
				if !frames[id] {
					frames[id] = true
					f.frameAgain(to, id)
				}
			}
		}
	}
	clear(f.wanted)
	f.hosts = false
	return stacks
}

func (f *facts) fileAgain(to *GRPCReporter, file libpf.FileID) {
	if e, ok := f.executables.get(file); ok {
		to.executables.put(e)
	}
}

func (f *facts) frameAgain(to *GRPCReporter, id libpf.FrameID) {
	if m, ok := f.frames.get(id); ok {
		to.frames.put(m)
	}
	if s, ok := f.symbols.get(id); ok {
		to.symbols.put(symbolEntry{id, s})
	}
}

func (f *facts) nothingWanted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.wanted) == 0 && !f.hosts
}

// sendAgain sends what agents asked for. What it sends is not in the accounts of the
// queues, where it was counted already.
func (r *GRPCReporter) sendAgain() {
	if r.facts.nothingWanted() {
		return
	}
	again := &GRPCReporter{log: slog.New(slog.DiscardHandler), sender: r.sender, ctx: r.ctx}
	if err := again.setupLanes(unbounded()); err != nil {
		r.log.Error("set up what the collection agent asked for", "error", err) // no queue is of size 0
		return
	}
	stacks := r.facts.again(again)
	r.sentAgain.Add(uint64(stacks))
	if stacks > 0 {
		r.log.Info("the collection agent asked for stacks that it does not have, they are sent again", "agent", r.sender.target, "stacks", stacks)
	}
	again.flush(again.eventLanes())
}

// unbounded has queues for what facts holds, which is bounded.
func unbounded() *Config {
	const most = math.MaxInt32
	return &Config{
		FramesForTracesMaxQueue: most, CountsForTracesMaxQueue: most, FrameMetadataMaxQueue: most, ExecMetadataMaxQueue: most,
		FallbackSymbolsMaxQueue: most, HostMetadataMaxQueue: most, MetricsMaxQueue: most,
	}
}

// newest is a map of at most max entries that forgets the oldest key when it is full.
type newest[K comparable, V any] struct {
	of    map[K]V
	order ring[K]
}

func newNewest[K comparable, V any](size uint32) newest[K, V] {
	return newest[K, V]{of: map[K]V{}, order: ring[K]{max: int(min(size, math.MaxInt32))}}
}

func (n *newest[K, V]) get(k K) (V, bool) {
	v, ok := n.of[k]
	return v, ok
}

// put keeps the value of a key. The value of a known key is replaced.
func (n *newest[K, V]) put(k K, v V) {
	if _, known := n.of[k]; !known {
		if oldest, full := n.order.oldest(); full {
			delete(n.of, oldest)
		}
		n.order.push(k)
	}
	n.of[k] = v
}

// flushEvents flushes the event lanes, and then sends what the agent asks for.
func (r *GRPCReporter) flushEvents(ctx context.Context) {
	r.flush(r.eventLanes())
	if ctx.Err() == nil {
		r.sendAgain()
	}
}
