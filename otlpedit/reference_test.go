package otlpedit_test

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// A random plan decides by the bytes of a message, so that it decides the same of
// the same message, however it comes by it.
type random struct {
	edits, drops, reads otlpedit.Levels
	seed                uint64
	signal              otlp.Signal
}

func (r random) plan() otlpedit.Plan {
	return otlpedit.Plan{Edits: r.edits, Drops: r.drops, Reads: r.reads, New: func() otlpedit.Editor { return randomEditor{r} }}
}

type randomEditor struct{ random }

func (e randomEditor) End() {}
func (e randomEditor) Edit(p *otlpedit.Pass, l otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	var resource, scope []byte
	if e.mayRead(otlpedit.Resources, l) {
		resource = p.Resource()
	}
	if e.mayRead(otlpedit.Scopes, l) {
		scope = p.Scope()
	}
	if l != otlpedit.Items {
		if url, set := e.schemaURL(l, m, p.SchemaURL()); set {
			p.SetSchemaURL(url)
		}
	}
	return e.decide(l, m, resource, scope, w), nil
}

// schemaURL returns what becomes of a schema_url beside a Resource or Scope.
func (r random) schemaURL(l otlpedit.Levels, m, old []byte) (now []byte, set bool) {
	h := fnv.New64a()
	_, _ = h.Write(binary.LittleEndian.AppendUint64([]byte{byte(l), 's'}, r.seed))
	_, _ = h.Write(m)
	_, _ = h.Write(old)
	switch x := h.Sum64() >> 8; x % 8 {
	case 0, 1:
		return make([]byte, 1+x>>8%200), true
	case 2:
		return nil, true
	default:
		return nil, false
	}
}

// mayRead reports whether the plan reads one level while it edits another.
func (r random) mayRead(outer, inner otlpedit.Levels) bool {
	return r.reads&outer != 0 && outer < inner
}

// countsInside says that an item of the signal holds what is counted.
func (r random) countsInside() bool {
	return r.signal.Spec().Unit == otlp.Metrics.Spec().Unit || r.signal.Spec().HasDictionary
}

func (r random) decide(l otlpedit.Levels, m, resource, scope []byte, w *otlpedit.Writer) otlpedit.Verdict {
	absent := byte(0)
	if m == nil {
		absent = 1
	}
	h := fnv.New64a()
	_, _ = h.Write(binary.LittleEndian.AppendUint64([]byte{byte(l), absent}, r.seed))
	for _, b := range [][]byte{m, resource, scope} {
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
		_, _ = h.Write(b)
	}
	x := h.Sum64()
	mayDrop := r.drops&l != 0
	switch x >> 8 % 8 {
	case 0, 1, 2:
		w.Raw(m) // to be ignored
		return otlpedit.Keep
	case 3:
		if mayDrop {
			return otlpedit.Drop
		}
	case 4:
		if mayDrop && l == otlpedit.Items && r.countsInside() {
			return r.thin(m, x, w)
		}
	case 5:
		if l != otlpedit.Items || !r.countsInside() || mayDrop {
			w.Without(m, uint32(1+x>>16%12))
			return otlpedit.Replace
		}
	}
	w.Raw(m)
	w.Bytes(1000, make([]byte, x>>16%300))
	return otlpedit.Replace
}

// thin takes data points out of a metric, samples out of a profile.
func (r random) thin(m []byte, x uint64, w *otlpedit.Writer) otlpedit.Verdict {
	some := func([]byte) otlpedit.Verdict {
		if x = x*6364136223846793005 + 1; x>>63 == 0 {
			return otlpedit.Drop
		}
		return otlpedit.Keep
	}
	if r.signal.Spec().HasDictionary {
		if w.Each(m, otlpfield.ProfileSamples, some) {
			return otlpedit.Replace
		}
		return otlpedit.Keep
	}
	for _, data := range []uint32{otlpfield.MetricGauge, otlpfield.MetricSum, otlpfield.MetricHistogram} {
		if w.Each(m, data, func(points []byte) otlpedit.Verdict {
			if w.Each(points, otlpfield.GaugeDataPoints, some) {
				return otlpedit.Replace
			}
			return otlpedit.Keep
		}) {
			return otlpedit.Replace
		}
	}
	return otlpedit.Keep
}

// reference applies one random plan to a request in the plainest way: it takes
// each message apart and puts it together again. It returns nil if none of the
// items is left.
func (r random) reference(t testing.TB, request []byte) []byte {
	t.Helper()
	out, changed := []byte{}, false
	for c := (wire.Cursor{Buf: request}); c.Next(); {
		v, now := otlpedit.Keep, []byte(nil)
		if c.Num == otlpfield.RequestResources && c.Type == wire.TypeBytes {
			v, now = r.resourceX(c.Bytes)
		}
		out, changed = appendField(out, &c, v, now), changed || v != otlpedit.Keep
	}
	if !changed {
		return request
	}
	if count(t, r.signal, request) > 0 && count(t, r.signal, out) == 0 {
		return nil
	}
	return out
}

func count(t testing.TB, s otlp.Signal, request []byte) int {
	t.Helper()
	n, err := otlp.Check(s, request)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// appendField appends the field that c stands on by the verdict on it.
func appendField(out []byte, c *wire.Cursor, v otlpedit.Verdict, now []byte) []byte {
	switch v {
	case otlpedit.Keep:
		return append(out, c.Buf[c.Start:c.End]...)
	case otlpedit.Replace:
		return wire.AppendBytes(out, c.Num, now)
	}
	return out
}

func (r random) resourceX(content []byte) (otlpedit.Verdict, []byte) {
	return r.group(otlpedit.Resources, content, otlpfield.ResourceXResource, otlpfield.ResourceXScopes, nil,
		func(content, resource []byte) (otlpedit.Verdict, []byte) {
			return r.group(otlpedit.Scopes, content, otlpfield.ScopeXScope, otlpfield.ScopeXItems, resource,
				func(item, scope []byte) (otlpedit.Verdict, []byte) { return r.item(item, resource, scope) })
		})
}

func (r random) group(level otlpedit.Levels, content []byte, ownField, memberField uint32, resource []byte,
	member func(content, own []byte) (otlpedit.Verdict, []byte)) (otlpedit.Verdict, []byte) {
	own := wire.Merged(content, ownField)
	verdict, placed, kept, dropped := otlpedit.Keep, own != nil, 0, 0
	if r.edits&level != 0 {
		var w otlpedit.Writer
		if !r.mayRead(otlpedit.Resources, level) {
			resource = nil
		}
		verdict = r.decide(level, own, resource, nil, &w)
		switch verdict {
		case otlpedit.Drop:
			return verdict, nil
		case otlpedit.Replace:
			own = w.Written()
		}
	}
	replaced := verdict == otlpedit.Replace
	url, schemaSet := r.schemaOf(level, content, ownField)
	if schemaSet {
		verdict = otlpedit.Replace
	}
	var out []byte
	if replaced && !placed {
		out = wire.AppendBytes(out, ownField, own)
	}
	placed = false
	for c := (wire.Cursor{Buf: content}); c.Next(); {
		v, now := otlpedit.Keep, []byte(nil)
		switch {
		case c.Type != wire.TypeBytes:
		case c.Num == ownField && replaced && placed, c.Num == otlpfield.ResourceXSchemaURL && schemaSet:
			v = otlpedit.Drop
		case c.Num == ownField && replaced:
			v, now, placed = otlpedit.Replace, own, true
		case c.Num == memberField:
			if v, now = member(c.Bytes, own); v == otlpedit.Drop {
				dropped++
			} else {
				kept++
			}
			if v != otlpedit.Keep {
				verdict = otlpedit.Replace
			}
		}
		out = appendField(out, &c, v, now)
	}
	if dropped > 0 && kept == 0 {
		return otlpedit.Drop, nil
	}
	if len(url) > 0 {
		out = wire.AppendBytes(out, otlpfield.ResourceXSchemaURL, url)
	}
	return verdict, out
}

// schemaOf returns the new schema_url of a group, if it changes.
func (r random) schemaOf(level otlpedit.Levels, content []byte, ownField uint32) (url []byte, set bool) {
	if r.edits&level == 0 {
		return nil, false
	}
	old := wire.LastBytes(content, otlpfield.ResourceXSchemaURL)
	if url, set = r.schemaURL(level, wire.Merged(content, ownField), old); !set || bytes.Equal(url, old) {
		return nil, false
	}
	return url, true
}

func (r random) item(m, resource, scope []byte) (otlpedit.Verdict, []byte) {
	if r.edits&otlpedit.Items == 0 {
		return otlpedit.Keep, nil
	}
	if !r.mayRead(otlpedit.Resources, otlpedit.Items) {
		resource = nil
	}
	if !r.mayRead(otlpedit.Scopes, otlpedit.Items) {
		scope = nil
	}
	var w otlpedit.Writer
	return r.decide(otlpedit.Items, m, resource, scope, &w), w.Written()
}
