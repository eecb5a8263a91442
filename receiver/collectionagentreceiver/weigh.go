package collectionagentreceiver

import collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"

// What an entry can add to reporter.OTLPReporter.MemoryBytes, in bytes. The bounds are
// those of the reporter's caches and its window (reporter/internal/join and profile):
// a test compares them. An entry that is known already adds nothing.
const (
	factOverhead  = 640  // an entry of a cache, beside its texts
	frameOverhead = 2200 // a frame that no other stack has, in a file that no other has
	textFactor    = 2    // texts are in the cache, and in a dictionary
	keyOverhead   = 400  // of a host
	keyFactor     = 12   // of its texts, which are on each resource

	countOverhead  = 640      // a stack and a sample that no other count has
	threadOverhead = 2 << 10  // a thread, pod and container that no other count has
	threadFactor   = 6        // of their names
	logParts       = 16       // of the log, for the first counts
	plainPartBytes = 12 << 10 // a part for counts of 1
	logPartBytes   = 20 << 10 // a part for others
	valuesOverhead = 200
)

// factBytes returns what an entry that is not a sample can add.
func factBytes(e collectionagentv1.Entry) int {
	switch m := e.(type) {
	case *collectionagentv1.TraceFrames:
		return factOverhead + frameOverhead*len(m.Addresses)
	case *collectionagentv1.FrameMetadata:
		return factOverhead + textFactor*(len(m.FunctionName)+len(m.FilePath))
	case *collectionagentv1.ExecutableMetadata:
		return factOverhead + textFactor*(len(m.FileName)+len(m.BuildId))
	case *collectionagentv1.FallbackSymbol:
		return factOverhead + textFactor*len(m.Symbol)
	case *collectionagentv1.HostMetadata:
		n := 0
		for k, v := range m.Metadata {
			n += keyOverhead + keyFactor*(len(k)+len(v))
		}
		return n
	}
	return 0
}

// sampleBytes returns what all counts and metrics of a request can add together.
func sampleBytes(q *collectionagentv1.Request) int {
	var known threads
	n, ones, others := 0, 0, 0
	for e := range q.Entries(collectionagentv1.Counts, collectionagentv1.Metrics) {
		switch m := e.(type) {
		case *collectionagentv1.TraceCount:
			n += countOverhead
			if m.Count == 1 {
				ones++
			} else {
				others++
			}
			if known.add(thread{m.Comm, m.PodName, m.ContainerName}) {
				n += threadOverhead + threadFactor*(len(m.Comm)+len(m.PodName)+len(m.ContainerName))
			}
		case *collectionagentv1.MetricValues:
			n += valuesOverhead * len(m.Ids)
		}
	}
	return n + plainPartBytes*min(ones, logParts) + logPartBytes*min(others, logParts)
}

// thread is what the metadata of a count consists of.
type thread struct{ comm, pod, container string }

// threads are the last ones that were added, about.
type threads struct {
	last    [64]thread
	unnamed bool // the one without names was
}

// add reports whether one is not there. Where it says so wrongly, more is reserved.
func (t *threads) add(one thread) bool {
	if one == (thread{}) {
		was := t.unnamed
		t.unnamed = true
		return !was
	}
	h := uint(len(one.comm)) + 31*uint(len(one.pod)) + 17*uint(len(one.container))
	for i := range min(len(one.comm), 16) {
		h = 31*h + uint(one.comm[i])
	}
	if n := len(one.pod); n > 0 { // names of pods differ at their ends
		h = 31*h + uint(one.pod[n-1])
	}
	at := &t.last[h%uint(len(t.last))]
	was := *at == one
	*at = one
	return !was
}
