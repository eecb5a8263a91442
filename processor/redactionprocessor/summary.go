package redactionprocessor

import (
	"bytes"
	"slices"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// outcome is what became of an attribute, as far as a summary names it.
type outcome uint8

const (
	redactedOutcome outcome = iota
	maskedOutcome
	allowedOutcome
	ignoredOutcome
	numOutcomes
)

// Summaries are attributes, two for each outcome: its keys, and how many these are. Those
// of attributes are followed by those of bodies.
const (
	attributeMetas = 0
	bodyMetas      = 2 * int(numOutcomes)
	numMetas       = 2 * bodyMetas
)

// metaKeys has no key for the keys that are ignored.
var metaKeys = [numMetas]string{
	"redaction.redacted.keys", "redaction.redacted.count", "redaction.masked.keys", "redaction.masked.count",
	"redaction.allowed.keys", "redaction.allowed.count", "", "redaction.ignored.count",
	"redaction.body.redacted.keys", "redaction.body.redacted.count", "redaction.body.masked.keys", "redaction.body.masked.count",
	"redaction.body.allowed.keys", "redaction.body.allowed.count", "", "redaction.body.ignored.count",
}

// metaOf returns which summary a key is, -1 if none.
func metaOf(key []byte) int {
	if !bytes.HasPrefix(key, []byte("redaction.")) {
		return -1
	}
	return slices.Index(metaKeys[:], string(key))
}

// meta is a summary of the present message.
type meta struct {
	found bool // the message has it already
	at    int  // its index in cuts
	value []byte
}

// keyList has the keys of one outcome.
type keyList struct {
	n    int
	text []byte // of all, end to end
	ends []int
}

func (l *keyList) reset() { l.n, l.text, l.ends = 0, l.text[:0], l.ends[:0] }

func (l *keyList) forget() {
	if l.reset(); cap(l.text)+8*cap(l.ends) > maxKeptBytes {
		l.text, l.ends = nil, nil
	}
}

// keys returns the keys.
func (l *keyList) keys() (keys [][]byte) {
	begin := 0
	for _, end := range l.ends {
		keys = append(keys, l.text[begin:end])
		begin = end
	}
	return keys
}

// note counts an outcome of the attribute with a key, or of what is at a path in a body.
func (e *editor) note(o outcome, key []byte) {
	if e.summary == silent || e.err != nil {
		return
	}
	l := &e.lists[o]
	l.n++
	if e.summary != debug || o == ignoredOutcome {
		return
	}
	if need := len(l.text) + len(key); need > cap(l.text) && 2*need > maxKeptBytes {
		e.reserve(2 * need)
	}
	if len(l.ends) == cap(l.ends) && 16*cap(l.ends) > maxKeptBytes {
		e.reserve(16 * cap(l.ends))
	}
	l.text = append(l.text, key...)
	l.ends = append(l.ends, len(l.text))
}

// summarize writes the summaries from the first one on, and begins with new lists.
func (e *editor) summarize(first int) {
	if e.summary == silent {
		return
	}
	for o := range numOutcomes {
		l := &e.lists[o]
		if l.n == 0 || e.err != nil {
			continue
		}
		which := first + 2*int(o)
		if e.summary == debug && o != ignoredOutcome {
			e.setMeta(which, e.stringValue(e.joined(l, e.came(which))))
		}
		n := int64(l.n) + e.came(which+1).Int()
		e.setMeta(which+1, e.intValue(n))
		l.reset()
	}
}

// came returns the value of a summary that the message has already.
func (e *editor) came(which int) otlp.Value {
	if m := &e.metas[which]; m.found {
		return attrs.Resolve(e.pass, e.cuts[m.at].value)
	}
	return otlp.Value{}
}

// joined returns the sorted keys of a list, and of those that came in.
func (e *editor) joined(l *keyList, came otlp.Value) []byte {
	if n := 24*(len(l.ends)+len(came.Text())) + 2*(len(l.text)+len(came.Text())); n > maxKeptBytes {
		e.reserve(2 * n)
	}
	if e.err != nil {
		return nil
	}
	keys := l.keys()
	if came.Kind() == otlp.KindString && len(came.Text()) > 0 {
		keys = append(keys, bytes.Split(came.Text(), []byte{','})...)
	}
	slices.SortFunc(keys, bytes.Compare)
	return bytes.Join(keys, []byte{','})
}

func (e *editor) setMeta(which int, value []byte) {
	m := &e.metas[which]
	if !m.found {
		m.value = value
		return
	}
	c := &e.cuts[m.at]
	c.value, c.same = value, c.same && bytes.Equal(c.value, value)
}
