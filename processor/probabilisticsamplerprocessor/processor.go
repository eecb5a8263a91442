package probabilisticsamplerprocessor

import (
	"bytes"
	"context"
	"strconv"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/attraction"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// New returns a processor that passes a share of spans and log records on.
func New(cfg Config, set component.Settings) (*pipeline.Edits, error) {
	set = set.OrDefaults()
	decided, err := obsreport.NewSampling(set.ID, set.Meter, policyNames(cfg.FromAttribute)...)
	if err != nil {
		return nil, err
	}
	plan, err := cfg.plan(decided)
	if err != nil {
		return nil, err
	}
	return pipeline.NewEdits(plan), nil
}

// plan returns the configuration as a plan of edits, whose decisions are counted.
func (c *Config) plan(decided *obsreport.Sampling) (plan otlpedit.Plan, err error) {
	if err := c.Validate(); err != nil {
		return plan, err
	}
	keys, err := attraction.Compile("", nil)
	if err != nil {
		return plan, err
	}
	s := newSampler(c)
	randomness, threshold := keys.Slot("sampling.randomness"), keys.Slot("sampling.threshold")
	return otlpedit.Plan{
		Edits: otlpedit.Items, Drops: otlpedit.Items,
		New: func() otlpedit.Editor {
			return &editor{sampler: s, decided: decided, attributes: keys.NewEditor(), randomness: randomness, threshold: threshold}
		},
	}, nil
}

// editor decides about one item after the other.
type editor struct {
	*sampler
	decided *obsreport.Sampling
	counts  [numPolicies]struct{ dropped, passed int } // of this request
	signal  otlp.Signal
	pass    *otlpedit.Pass
	text    []byte // a tracestate that is made, or a value that is hashed

	state traceState // of a span

	attributes            *attraction.Editor // of a log record
	randomness, threshold int                // slots
}

// deciders have the decision about an item of each signal.
var deciders = map[otlp.Signal]func(*editor, []byte, *otlpedit.Writer) (otlpedit.Verdict, error){
	otlp.Traces: (*editor).span, otlp.Logs: (*editor).record,
}

// Edit implements otlpedit.Editor.
func (e *editor) Edit(p *otlpedit.Pass, _ otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	e.pass, e.signal = p, p.Signal()
	if decide := deciders[p.Signal()]; decide != nil {
		return decide(e, m, w)
	}
	return otlpedit.Keep, nil
}

// maxKeptBytes is how large the memory for texts may be to be kept for the next request.
const maxKeptBytes = 64 << 10

// End implements otlpedit.Editor.
func (e *editor) End() {
	e.pass = nil
	e.attributes.End()
	for i, n := range e.counts {
		if n.dropped+n.passed > 0 {
			e.decided.Decided(context.Background(), e.signal, i, n.dropped, n.passed)
		}
	}
	clear(e.counts[:])
	clear(e.state.others[:cap(e.state.others)])
	clear(e.state.ot[:cap(e.state.ot)])
	if cap(e.text) > maxKeptBytes {
		e.text = nil
	}
}

// absent reports whether a trace id is missing or zero.
func absent(id []byte) bool { return len(id) != 16 || bytes.Equal(id, make([]byte, 16)) }

// span decides about a span.
func (e *editor) span(m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	var id, old []byte
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		switch c.Tag() {
		case otlpfield.SpanTraceID<<3 | uint32(wire.TypeBytes):
			id = c.Bytes
		case otlpfield.SpanTraceState<<3 | uint32(wire.TypeBytes):
			old = c.Bytes
		}
	}
	i := e.identify(&e.state.information, e.state.parse(old), id)
	if e.mode == HashSeed && i.writable && !e.never {
		i.information.randomness, i.hasRandomness = i.randomness, true
	}
	i.prior, i.hasPrior = e.spanPriority(m)
	if !e.sampled(&i) {
		return otlpedit.Drop, nil
	}
	if !i.writable {
		return otlpedit.Keep, nil
	}
	if i.updated {
		e.state.th = nil
	}
	e.text = e.state.append(e.text[:0])
	if bytes.Equal(e.text, old) {
		return otlpedit.Keep, nil
	}
	w.Without(m, otlpfield.SpanTraceState)
	if len(e.text) > 0 {
		w.Bytes(otlpfield.SpanTraceState, e.text)
	}
	return otlpedit.Replace, nil
}

// sampled decides, and counts the decision.
func (e *editor) sampled(i *item) bool {
	sampled := e.decide(i)
	if n := &e.counts[i.policy]; sampled {
		n.passed++
	} else {
		n.dropped++
	}
	return sampled
}

// identify returns an item with its randomness, as far as it has some in its sampling
// information or is part of a trace.
func (e *editor) identify(found *information, valid bool, traceID []byte) item {
	i := item{information: found, randomness: allRandomness, policy: policyMissing, invalid: !valid, writable: valid}
	switch {
	case e.never:
		i.policy, i.writable = policyPriority, true
	case e.mode == HashSeed:
		if !absent(traceID) {
			i.randomness, i.policy = hashRandomness(traceID, e.seed), policyHash
		}
		if found.hasRandomness || found.hasThreshold { // another mode is meant for it
			i.invalid, i.writable = true, false
		}
	case !valid:
	case found.hasRandomness:
		i.randomness, i.policy = found.randomness, policyRandomness
	case !absent(traceID):
		i.randomness, i.policy = traceIDRandomness(traceID), policyTraceID
	}
	return i
}

// spanPriority returns the threshold that the attribute sampling.priority of a span asks
// for: 0 is never, and more is always.
func (e *editor) spanPriority(m []byte) (threshold uint64, ok bool) {
	value, found := attrs.Find(e.pass, m, otlpfield.SpanAttributes, "sampling.priority")
	if !found {
		return 0, false
	}
	priority := -1.0
	switch v := attrs.Resolve(e.pass, value); v.Kind() {
	case otlp.KindInt:
		priority = float64(v.Int())
	case otlp.KindDouble:
		priority = v.Double()
	case otlp.KindString:
		if f, err := strconv.ParseFloat(string(v.Text()), 64); err == nil {
			priority = f
		}
	}
	switch {
	case priority == 0:
		return never, true
	case priority > 0:
		return always, true
	}
	return 0, false
}

// record decides about a log record.
func (e *editor) record(m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	e.attributes.Begin(e.pass, m, otlpfield.LogRecordAttributes)
	found, valid := e.recordInformation()
	var traceID []byte
	if e.useTraceID || e.mode != HashSeed {
		traceID = wire.LastBytes(m, otlpfield.LogRecordTraceID)
	}
	i := e.identify(&found, valid, traceID)
	if e.mode == HashSeed && !e.never {
		if i.policy == policyMissing {
			if err := e.hashAttribute(&i, m); err != nil {
				return otlpedit.Keep, err
			}
		}
		if i.writable && i.policy != policyMissing {
			found.randomness, found.hasRandomness = i.randomness, true
			if err := e.set(e.randomness, appendRandomness(e.text[:0], i.randomness)); err != nil {
				return otlpedit.Keep, err
			}
		}
	}
	i.prior, i.hasPrior = e.recordPriority(m)
	if !e.sampled(&i) {
		return otlpedit.Drop, nil
	}
	if i.cleared {
		e.attributes.Remove(e.threshold)
	}
	if i.updated {
		if err := e.set(e.threshold, appendThreshold(e.text[:0], found.threshold)); err != nil {
			return otlpedit.Keep, err
		}
	}
	changed, err := e.attributes.Finish(w, nil)
	if err != nil || !changed {
		return otlpedit.Keep, err
	}
	return otlpedit.Replace, nil
}

// set writes an attribute whose text is in e.text.
func (e *editor) set(slot int, text []byte) error {
	e.text = text
	return e.attributes.SetText(slot, text)
}

// recordInformation reads the attributes of a log record with sampling information.
func (e *editor) recordInformation() (found information, valid bool) {
	valid = true
	if text := e.attributes.Text(e.threshold); len(text) > 0 {
		found.threshold, found.hasThreshold = parseThreshold(text)
		valid = found.hasThreshold
	}
	if text := e.attributes.Text(e.randomness); len(text) > 0 {
		found.randomness, found.hasRandomness = parseRandomness(text)
		valid = valid && found.hasRandomness
	}
	return found, valid
}

// hashAttribute takes the randomness of a log record from an attribute.
func (e *editor) hashAttribute(i *item, m []byte) error {
	if e.attribute == "" {
		return nil
	}
	value, found := attrs.Find(e.pass, m, otlpfield.LogRecordAttributes, e.attribute)
	if !found {
		return nil
	}
	var content []byte
	var err error
	if v := attrs.Resolve(e.pass, value); v.Kind() == otlp.KindBytes {
		content = v.Text()
	} else {
		content, err = attrs.Text(e.pass, &e.text, value)
	}
	if len(content) > 0 {
		i.randomness, i.policy = hashRandomness(content, e.seed), policyAttribute
	}
	return err
}

// recordPriority returns the threshold of the percentage that an attribute of a log
// record has.
func (e *editor) recordPriority(m []byte) (threshold uint64, ok bool) {
	if e.priority == "" {
		return 0, false
	}
	value, found := attrs.Find(e.pass, m, otlpfield.LogRecordAttributes, e.priority)
	if !found {
		return 0, false
	}
	ratio := 0.0
	switch v := attrs.Resolve(e.pass, value); v.Kind() {
	case otlp.KindInt:
		ratio = float64(v.Int()) / 100
	case otlp.KindDouble:
		ratio = v.Double() / 100
	}
	return thresholdOf(ratio, e.digits)
}
