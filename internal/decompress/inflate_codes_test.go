package decompress

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// bitWriter writes the bits of a DEFLATE stream.
type bitWriter struct {
	b []byte
	n uint // bits used of the last byte
}

func (w *bitWriter) bits(v, n uint) {
	for ; n > 0; n-- {
		if w.n %= 8; w.n == 0 {
			w.b = append(w.b, 0)
		}
		w.b[len(w.b)-1] |= byte(v&1) << w.n
		v >>= 1
		w.n++
	}
}

// code writes a code, whose bits have the other order.
func (w *bitWriter) code(v, n uint) {
	for i := range n {
		w.bits(v>>(n-1-i), 1)
	}
}

// testCode is a complete code of some symbols.
type testCode struct {
	lengths []uint8
	codes   []uint
	used    []int // symbols with a code
}

// randomCode returns a code of at least least of the first symbols, with must among them.
func randomCode(r *rand.Rand, symbols, least, must int) testCode {
	order := r.Perm(symbols)
	order = order[:least+r.IntN(symbols-least+1)]
	if !slices.Contains(order, must) {
		order[0] = must
	}
	lengths := []uint8{1, 1}
	skewed := r.IntN(2) == 0
	for len(lengths) < len(order) { // splits a code in two
		i := r.IntN(len(lengths))
		if skewed {
			i = len(lengths) - 1 - r.IntN(min(len(lengths), 3))
		}
		if lengths[i] == maxCodeBits {
			i = slices.IndexFunc(lengths, func(l uint8) bool { return l < maxCodeBits })
		}
		lengths[i]++
		lengths = append(lengths, lengths[i])
	}
	r.Shuffle(len(lengths), func(i, j int) { lengths[i], lengths[j] = lengths[j], lengths[i] })
	c := testCode{lengths: make([]uint8, symbols), codes: make([]uint, symbols), used: order}
	for i, s := range order {
		c.lengths[s] = lengths[i]
	}
	next := uint(0)
	for l := uint8(1); l <= maxCodeBits; l++ { // RFC 1951, section 3.2.2
		for s := range symbols {
			if c.lengths[s] == l {
				c.codes[s] = next
				next++
			}
		}
		next <<= 1
	}
	return c
}

func (c *testCode) write(w *bitWriter, s int) { w.code(c.codes[s], uint(c.lengths[s])) }

// randomBlock writes a block of any symbols of random codes. o is how many bytes there are
// before it, and after it.
func randomBlock(r *rand.Rand, w *bitWriter, o int, last bool) int {
	litLen, dist := randomCode(r, mostLitLen, 2, endOfBlock), randomCode(r, mostDist, 2, 0)
	if len(litLen.used) < 3 || r.IntN(4) == 0 { // the codes that are fixed
		litLen.used, dist.used = r.Perm(mostLitLen), r.Perm(mostDist)
		for s := range mostLitLen {
			switch {
			case s < 144:
				litLen.codes[s], litLen.lengths[s] = uint(0x30+s), 8
			case s < 256:
				litLen.codes[s], litLen.lengths[s] = uint(0x190+s-144), 9
			case s < 280:
				litLen.codes[s], litLen.lengths[s] = uint(s-256), 7
			default:
				litLen.codes[s], litLen.lengths[s] = uint(0xc0+s-280), 8
			}
		}
		for s := range mostDist {
			dist.codes[s], dist.lengths[s] = uint(s), 5
		}
		w.bits(uint(btoi(last))|1<<1, 3)
	} else {
		w.bits(uint(btoi(last))|2<<1, 3)
		w.bits(mostLitLen-257, 5)
		w.bits(mostDist-1, 5)
		w.bits(uint(len(codeOrder)-4), 4)
		for _, s := range codeOrder { // 0 to 15 have 4 bits, the others are not used
			w.bits(uint(btoi(s < 16))*4, 3)
		}
		for _, l := range slices.Concat(litLen.lengths, dist.lengths) {
			w.code(uint(l), 4)
		}
	}
	for range r.IntN(2000) {
		s := litLen.used[r.IntN(len(litLen.used))]
		switch {
		case s == endOfBlock:
			continue
		case s < endOfBlock:
			litLen.write(w, s)
			o++
			continue
		}
		d := dist.used[r.IntN(len(dist.used))]
		e := distSymbols[d]
		distance := int(e>>16) + r.IntN(1<<(e&63))
		if distance > o {
			continue
		}
		litLen.write(w, s)
		e2 := litLenSymbols[s]
		more := r.IntN(1 << (e2 & 63))
		w.bits(uint(more), uint(e2&63))
		dist.write(w, d)
		w.bits(uint(distance)-uint(e>>16), uint(e&63))
		o += int(e2>>16) + more
	}
	litLen.write(w, endOfBlock)
	return o
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Streams of random codes, up to the longest, with all symbols, and lengths and distances up to
// the largest, are what the standard library makes of them.
func TestInflateRandomCodes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 300 {
		w := &bitWriter{}
		o := 0
		for n := r.IntN(6); n >= 0; n-- {
			o = randomBlock(r, w, o, n == 0)
		}
		if _, _, err := oracleInflate(w.b, 4<<20); err != nil {
			t.Fatalf("the stream of the test is not valid: %v", err)
		}
		sameAsOracle(t, w.b)
		w.b[r.IntN(len(w.b))] ^= 1 << r.IntN(8)
		sameAsOracle(t, w.b)
	}
}

// An empty block of fixed codes has ten bits: the codes are not made for each of them, else a
// MiB of such blocks takes seconds.
func TestFixedCodesAreMadeOnce(t *testing.T) {
	w := &bitWriter{}
	for n := 10_000; n >= 0; n-- {
		w.bits(uint(btoi(n == 0))|1<<1, 3)
		w.bits(0, 7)
	}
	z := new(inflater)
	z.lengths[0] = 99 // making a code begins with its lengths
	z.begin(w.b, 0, 0)
	if err := z.run(); err != nil || z.pos != len(w.b) {
		t.Fatalf("used %d bytes of %d: %v", z.pos, len(w.b), err)
	}
	if z.lengths[0] != 99 {
		t.Error("the fixed codes were made for a block")
	}
}

// A code of one symbol has one bit, 0, and a code of none is never read.
func TestInflateCodesOfOneSymbol(t *testing.T) {
	for _, c := range []struct {
		name   string
		litLen map[int]uint8
		dist   uint8 // length of the code of distance 1
		data   []uint
		valid  bool
	}{
		{"the end", map[int]uint8{256: 1}, 0, []uint{0}, true},
		{"not the end", map[int]uint8{256: 1}, 0, []uint{1}, false},
		{"no distance", map[int]uint8{'a': 1, 256: 1}, 0, []uint{0, 0, 1}, true},
		{"a distance of none", map[int]uint8{'a': 1, 256: 2, 257: 2}, 0, []uint{0, 1, 1, 0, 1, 0}, false},
		{"one distance", map[int]uint8{'a': 1, 256: 2, 257: 2}, 1, []uint{0, 1, 1, 0, 1, 0}, true},
		{"another distance", map[int]uint8{'a': 1, 256: 2, 257: 2}, 1, []uint{0, 1, 1, 1, 1, 0}, false},
		{"a distance of two bits", map[int]uint8{'a': 1, 256: 1}, 2, []uint{0, 1}, false},
		{"two literals of three", map[int]uint8{'a': 2, 'b': 2, 256: 2}, 0, []uint{1, 0}, false},
	} {
		w := &bitWriter{}
		w.bits(1|2<<1, 3)
		w.bits(1, 5) // 258 literals and lengths
		w.bits(0, 5)
		w.bits(uint(len(codeOrder)-4), 4)
		for _, s := range codeOrder {
			w.bits(uint(btoi(s < 16))*4, 3)
		}
		for s := range 258 {
			w.code(uint(c.litLen[s]), 4)
		}
		w.code(uint(c.dist), 4)
		for _, bit := range c.data {
			w.bits(bit, 1)
		}
		for range 40 { // also in the fast loop
			w.bits(0, 8)
		}
		_, _, err := inflated(w.b, 1000, 1000)
		if (err == nil) != c.valid {
			t.Errorf("%s: %v", c.name, err)
		}
		sameAsOracle(t, w.b)
	}
}
