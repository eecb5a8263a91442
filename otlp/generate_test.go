package otlp

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// generator writes random requests from the tables of Check: every field in every
// form that the wire allows, in any order, any number of times. Since it uses the
// schema, it reaches deeper levels than random bit flips. If evil is true, some
// lengths, tags and ends are wrong.
type generator struct {
	rng  *rand.Rand
	evil bool
}

// one returns true with probability 1/n.
func (g *generator) one(n int) bool { return g.rng.IntN(n) == 0 }

// varint appends v, sometimes in more bytes than necessary.
func (g *generator) varint(b []byte, v uint64) []byte {
	n := len(b)
	b = binary.AppendUvarint(b, v)
	if more := 1 + g.rng.IntN(10); g.one(40) && len(b)-n+more <= 10 {
		b[len(b)-1] |= 0x80
		for range more - 1 {
			b = append(b, 0x80)
		}
		b = append(b, 0)
	}
	return b
}

func (g *generator) value() uint64 {
	switch g.rng.IntN(5) {
	case 0:
		return g.rng.Uint64()
	case 1:
		return g.rng.Uint64N(300)
	case 2:
		return 0
	}
	return 1 << g.rng.IntN(64)
}

// index returns an index that is mostly within a small table.
func (g *generator) index() uint64 {
	if g.one(30) {
		return g.value()
	}
	return g.rng.Uint64N(3)
}

func (g *generator) bytes(b []byte, tag uint64, v []byte) []byte {
	n := uint64(len(v))
	if g.evil && g.one(300) {
		n += g.rng.Uint64N(3) - 1
	}
	return append(g.varint(g.varint(b, tag), n), v...)
}

func (g *generator) text() []byte { return make([]byte, g.rng.IntN(4)+g.rng.IntN(2)*g.rng.IntN(150)) }

func (g *generator) list(value func() uint64) (p []byte) {
	for !g.one(4) {
		p = g.varint(p, value())
	}
	return p
}

// unknown appends a field that no message has.
func (g *generator) unknown(b []byte, depth int) []byte {
	num := 32 + g.rng.Uint64N(1<<uint(6+g.rng.IntN(20)))
	if g.evil && g.one(20) {
		num = g.rng.Uint64N(1 << 32)
	}
	switch g.rng.IntN(5) {
	case 0:
		return g.varint(g.varint(b, num<<3), g.value())
	case 1:
		return append(g.varint(b, num<<3|1), make([]byte, 8)...)
	case 2:
		return g.bytes(b, num<<3|2, g.text())
	case 3:
		return append(g.varint(b, num<<3|5), make([]byte, 4)...)
	}
	b = g.varint(b, num<<3|3)
	for depth < 70 && g.one(2) {
		b = g.unknown(b, depth+1)
	}
	if g.evil && g.one(30) {
		return b
	}
	return g.varint(b, num<<3|4)
}

func (g *generator) message(m uint8, depth int) (b []byte) {
	var tags []uint64
	for t, e := range tables[m] {
		if e.op > opBadType {
			tags = append(tags, uint64(t))
		}
	}
	if m == msgKeyValue && !g.one(3) { // the most frequent form, which has a fast path
		return g.bytes(g.bytes(b, 1<<3|2, g.text()), 2<<3|2, g.message(msgAnyValue, depth+1))
	}
	n := g.rng.IntN(4)
	if depth < 4 {
		n++
	}
	for range n {
		switch tag := tags[g.rng.IntN(len(tags))]; {
		case g.one(25):
			b = g.unknown(b, 0)
		case g.evil && g.one(100):
			b = append(b, byte(tag)) // a tag without a value
		default:
			b = g.field(b, tag, tables[m][tag], depth)
		}
	}
	return b
}

func (g *generator) field(b []byte, tag uint64, e tagEntry, depth int) []byte {
	switch e.op {
	case opVarint:
		return g.varint(g.varint(b, tag), g.value())
	case opIndex:
		return g.varint(g.varint(b, tag), g.index())
	case opFixed64:
		return append(g.varint(b, tag), make([]byte, 8)...)
	case opFixed32:
		return append(g.varint(b, tag), make([]byte, 4)...)
	case opBytes:
		return g.bytes(b, tag, g.text())
	case opID:
		n := int(e.arg) * g.rng.IntN(2)
		if g.evil && g.one(40) {
			n = g.rng.IntN(40)
		}
		return g.bytes(b, tag, make([]byte, n))
	case opPackedVarint:
		return g.bytes(b, tag, g.list(g.value))
	case opPackedIndex:
		return g.bytes(b, tag, g.list(g.index))
	case opPackedFixed64:
		n := 8 * g.rng.IntN(4)
		if g.evil && g.one(30) {
			n++
		}
		return g.bytes(b, tag, make([]byte, n))
	}
	if depth > 30 {
		return b
	}
	return g.bytes(b, tag, g.message(e.arg, depth+1))
}

// request returns a request of signal s. A profiles request mostly has a dictionary
// with a few entries in each table.
func (g *generator) request(s Signal) []byte {
	b := g.message(roots[s], 0)
	if s.Spec().HasDictionary && !g.one(4) {
		var d []byte
		for table := range uint64(7) {
			for range g.rng.IntN(4) {
				d = g.bytes(d, (table+1)<<3|uint64(wire.TypeBytes), nil)
			}
		}
		b = g.bytes(b, otlpfield.ExportProfilesServiceRequestDictionary<<3|uint64(wire.TypeBytes), d)
	}
	if g.evil && g.one(3) && len(b) > 0 {
		b = b[:g.rng.IntN(len(b))]
	}
	return b
}

func (o oracle) compareGenerated(t *testing.T, seed uint64) (accepted int) {
	t.Helper()
	g := &generator{rng: rand.New(rand.NewPCG(seed, 1)), evil: seed%3 == 0}
	for _, s := range Signals() {
		b := g.request(s)
		if _, err := Check(s, b); err == nil {
			accepted++
		}
		o.compare(t, s, b)
		if t.Failed() {
			t.Fatalf("seed %d, %s: %x", seed, s, b)
		}
	}
	return accepted
}

func TestGeneratedRequests(t *testing.T) {
	o := newOracle(t)
	const seeds = 300
	accepted := 0
	for seed := range uint64(seeds) {
		accepted += o.compareGenerated(t, seed)
	}
	if all := 4 * seeds; accepted < all/4 || accepted > all*9/10 {
		t.Errorf("%d of %d requests are accepted: the generator is not balanced", accepted, all)
	}
}

func FuzzGeneratedRequests(f *testing.F) {
	f.Add(uint64(1))
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, seed uint64) { o.compareGenerated(t, seed) })
}
