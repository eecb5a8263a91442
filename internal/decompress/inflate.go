package decompress

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"sync"
)

// inflater decodes a DEFLATE stream (RFC 1951) from memory to memory. The result is the
// window, so that nothing is copied twice, and the bits of the input are read eight bytes at
// a time: that is twice as fast as a decoder of streams.
//
//	entry of a table, by the next bits of the input:
//	  a literal         literal flag, its value << 16,           bits of the code
//	  a length or       base << 16, bits of the code << 8,       bits of the code and of what is
//	  a distance                                                 to be added to the base
//	  longer code       exceptional, subtable, index << 16,      bits of this table
//	                    bits of the subtable << 8
//	  end of the block  exceptional, end,                        bits of the code
//	  no such code      exceptional
type inflater struct {
	in   []byte
	pos  int    // of in
	bits uint64 // read from in and not used; above count they are those that follow, or 0
	n    uint   // how many of bits count

	out   []byte // the result; its length is what may be written
	o     int    // bytes written
	start int    // of this stream in out

	last   bool // the block is the last one
	broken bool // fast has found an error
	state  blockState
	stored int // bytes left of a stored block

	isFixed bool // litLen and dist have the fixed codes
	lengths [maxLitLen + maxDist]uint8
	litLen  [1 << 12]uint32
	dist    [1 << 10]uint32
	sorted  [maxLitLen]uint16
}

// blockState is what the next bits of the input are.
type blockState uint8

const (
	atHeader blockState = iota
	inStored
	inCompressed
	atEnd
)

const (
	maxLitLen, maxDist     = 288, 32 // symbols
	litLenBits, distBits   = 11, 9   // of the tables
	maxCodeBits            = 15
	endOfBlock             = 256
	flagLiteral            = 1 << 31
	flagExceptional        = 1 << 15
	flagSubtable           = 1 << 14
	flagEnd                = 1 << 13
	maxMatch               = 258
	slackIn, slackOut      = 24, maxMatch + 3 + 32 // what the fast loop may read, and write, at a time
	litLenTable, distTable = 1<<12 - 1, 1<<10 - 1  // masks
	litLenMask, distMask   = 1<<litLenBits - 1, 1<<distBits - 1
	mostLitLen, mostDist   = 286, 30
	shortMatch             = 32 // up to here a loop is faster than memmove
)

// inflaters is only a cache.
var inflaters = sync.Pool{New: func() any { return new(inflater) }}

var (
	errInflate = errors.New("the DEFLATE stream is invalid")
	// errFull means that the result needs more room: run goes on with a longer out.
	errFull = errors.New("the result is full")
)

// begin starts a stream at pos of in, whose result is appended to out[:o].
func (z *inflater) begin(in []byte, pos, o int) {
	z.in, z.pos, z.bits, z.n = in, pos, 0, 0
	z.o, z.start, z.last, z.broken, z.state = o, o, false, false, atHeader
}

// release puts the inflater into the pool.
func (z *inflater) release() {
	z.in, z.out = nil, nil
	inflaters.Put(z)
}

// run decodes the stream to its end; then pos is the byte after it. If it returns errFull,
// it goes on when out is longer.
func (z *inflater) run() error {
	for {
		var err error
		switch z.state {
		case atHeader:
			err = z.header()
		case inStored:
			err = z.copyStored()
		case inCompressed:
			z.fast()
			err = z.careful()
		case atEnd:
			z.pos -= int(z.n / 8) // whole bytes that were not used
			z.bits, z.n = 0, 0
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fill reads whole bytes until there are 56 bits or more, or in has ended.
func (z *inflater) fill() {
	for z.n < 56 && z.pos < len(z.in) {
		z.bits |= uint64(z.in[z.pos]) << z.n
		z.pos++
		z.n += 8
	}
}

// take returns the next n bits, up to 32.
func (z *inflater) take(n uint) (uint32, error) {
	if z.n < n {
		if z.fill(); z.n < n {
			return 0, io.ErrUnexpectedEOF
		}
	}
	v := uint32(z.bits & (1<<n - 1))
	z.bits >>= n
	z.n -= n
	return v, nil
}

// ended is the state after a block.
func (z *inflater) ended() {
	z.state = atHeader
	if z.last {
		z.state = atEnd
	}
}

// header reads the header of a block (RFC 1951, section 3.2.3).
func (z *inflater) header() error {
	h, err := z.take(3)
	if err != nil {
		return err
	}
	z.last = h&1 != 0
	switch h >> 1 {
	case 0:
		return z.beginStored()
	case 1:
		z.fixed()
	case 2:
		if err := z.dynamic(); err != nil {
			return err
		}
	default:
		return errInflate
	}
	z.state = inCompressed
	return nil
}

func (z *inflater) beginStored() error {
	if _, err := z.take(z.n % 8); err != nil { // up to the next byte
		return err
	}
	v, err := z.take(32)
	if err != nil {
		return err
	}
	if uint16(v) != ^uint16(v>>16) {
		return errInflate
	}
	z.stored, z.state = int(uint16(v)), inStored
	z.pos -= int(z.n / 8)
	z.bits, z.n = 0, 0
	return nil
}

func (z *inflater) copyStored() error {
	n := copy(z.out[z.o:], z.in[z.pos:min(len(z.in), z.pos+z.stored)])
	z.o += n
	z.pos += n
	z.stored -= n
	switch {
	case z.stored == 0:
		z.ended()
		return nil
	case z.pos == len(z.in):
		return io.ErrUnexpectedEOF
	}
	return errFull
}

// fast decodes symbols as long as there is room for any in in and out. It is one function
// so that its variables stay in registers.
func (z *inflater) fast() {
	in, pos, buf, n := z.in, z.pos, z.bits, z.n
	out, o, start := z.out, z.o, z.start
	lastIn, lastOut := len(in)-slackIn, len(out)-slackOut
	for pos <= lastIn && o <= lastOut {
		buf |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
		pos += int((63 - n) >> 3)
		n |= 56
		e := z.litLen[buf&litLenMask]
		if e&flagLiteral != 0 {
			// Three literals of a table take at most 33 bits.
			w := out[o : o+3 : o+3]
			w[0] = byte(e >> 16)
			buf >>= e & 63
			n -= uint(e & 63)
			o++
			if e = z.litLen[buf&litLenMask]; e&flagLiteral != 0 {
				w[1] = byte(e >> 16)
				buf >>= e & 63
				n -= uint(e & 63)
				o++
				if e = z.litLen[buf&litLenMask]; e&flagLiteral != 0 {
					w[2] = byte(e >> 16)
					buf >>= e & 63
					n -= uint(e & 63)
					o++
					continue
				}
			}
			buf |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
			pos += int((63 - n) >> 3)
			n |= 56
		}
		if e&flagExceptional != 0 {
			if e&flagSubtable == 0 {
				break // the careful loop reads it again
			}
			s := z.litLen[(e>>16+uint32(buf>>litLenBits)&(1<<(e>>8&15)-1))&litLenTable]
			if s&flagExceptional != 0 {
				break
			}
			buf >>= litLenBits
			n -= litLenBits
			if e = s; e&flagLiteral != 0 {
				out[o] = byte(e >> 16)
				buf >>= e & 63
				n -= uint(e & 63)
				o++
				continue
			}
		}
		// A length takes at most 20 bits, and a distance 28.
		length := int(e>>16) + int(buf&(1<<(e&63)-1)>>(e>>8&15))
		buf >>= e & 63
		n -= uint(e & 63)
		d := z.dist[buf&distMask]
		if d&flagExceptional != 0 {
			if d&flagSubtable != 0 {
				s := z.dist[(d>>16+uint32(buf>>distBits)&(1<<(d>>8&15)-1))&distTable]
				buf >>= distBits
				n -= distBits
				d = s
			}
			if d&flagExceptional != 0 {
				z.broken = true
				return
			}
		}
		distance := int(d>>16) + int(buf&(1<<(d&63)-1)>>(d>>8&15))
		buf >>= d & 63
		n -= uint(d & 63)
		from := o - distance
		if from < start {
			z.broken = true
			return
		}
		// The rest of the room is written to before it is used.
		end := o + length
		switch {
		case length > shortMatch && distance >= length:
			copy(out[o:end], out[from:from+length])
		case distance >= 8:
			for {
				binary.LittleEndian.PutUint64(out[o:], binary.LittleEndian.Uint64(out[from:]))
				o += 8
				from += 8
				if o >= end {
					break
				}
			}
		case distance == 1:
			v := uint64(out[from]) * 0x0101010101010101
			for {
				binary.LittleEndian.PutUint64(out[o:], v)
				if o += 8; o >= end {
					break
				}
			}
		default:
			for o < end {
				out[o] = out[from]
				o++
				from++
			}
		}
		o = end
	}
	z.pos, z.bits, z.n, z.o = pos, buf, n, o
	z.bits &= 1<<n - 1
}

// careful decodes symbols to the end of the block.
func (z *inflater) careful() error {
	if z.broken {
		return errInflate
	}
	for {
		z.fill()
		bits, n, pos := z.bits, z.n, z.pos
		e, err := z.symbol(z.litLen[:], litLenBits)
		switch {
		case err != nil:
			return err
		case e&flagLiteral != 0:
			if z.o == len(z.out) {
				z.bits, z.n, z.pos = bits, n, pos
				return errFull
			}
			z.out[z.o] = byte(e >> 16)
			z.o++
			continue
		case e&flagEnd != 0:
			z.ended()
			return nil
		}
		length := z.value(e, bits, n)
		z.fill()
		before, beforeN := z.bits, z.n
		d, err := z.symbol(z.dist[:], distBits)
		if err != nil {
			return err
		}
		from := z.o - z.value(d, before, beforeN)
		switch {
		case from < z.start:
			return errInflate
		case length > len(z.out)-z.o:
			z.bits, z.n, z.pos = bits, n, pos
			return errFull
		}
		for range length {
			z.out[z.o] = z.out[from]
			z.o++
			from++
		}
	}
}

// symbol reads a symbol, with what is to be added to its base.
func (z *inflater) symbol(table []uint32, tableBits uint) (uint32, error) {
	e := table[z.bits&(1<<tableBits-1)]
	used := uint(0)
	if e&(flagExceptional|flagSubtable) == flagExceptional|flagSubtable {
		used = tableBits
		e = table[e>>16+uint32(z.bits>>tableBits)&(1<<(e>>8&15)-1)]
	}
	used += uint(e & 63)
	switch {
	case used > z.n:
		return 0, io.ErrUnexpectedEOF
	case e&flagLiteral == 0 && e&(flagExceptional|flagEnd) == flagExceptional:
		if z.n < maxCodeBits && z.pos == len(z.in) {
			return 0, io.ErrUnexpectedEOF
		}
		return 0, errInflate
	}
	z.bits >>= used
	z.n -= used
	return e, nil
}

// value returns the base of a symbol with what was added to it. Before it was read, bits had
// n bits.
func (z *inflater) value(e uint32, bits uint64, n uint) int {
	used := n - z.n                   // of the code and what is added
	add := uint(e&63) - uint(e>>8&15) // bits that are added
	return int(e>>16) + int(bits>>(used-add)&(1<<add-1))
}

// codeOrder is the order of the lengths of the code for lengths (RFC 1951, section 3.2.7).
var codeOrder = [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the codes of a block.
func (z *inflater) dynamic() error {
	z.isFixed = false
	counts, err := z.take(14)
	if err != nil {
		return err
	}
	litLens, dists, codes := int(counts&31)+257, int(counts>>5&31)+1, int(counts>>10)+4
	if litLens > mostLitLen || dists > mostDist {
		return errInflate
	}
	var lengths [len(codeOrder)]uint8
	for i := range codes {
		v, err := z.take(3)
		if err != nil {
			return err
		}
		lengths[codeOrder[i]] = uint8(v)
	}
	const codeBits = 7
	if !z.build(z.dist[:], codeBits, lengths[:], codeSymbols[:]) { // not yet used for distances
		return errInflate
	}
	if err := z.readLengths(litLens+dists, codeBits); err != nil {
		return err
	}
	if !z.build(z.litLen[:], litLenBits, z.lengths[:litLens], litLenSymbols[:]) ||
		!z.build(z.dist[:], distBits, z.lengths[litLens:litLens+dists], distSymbols[:]) {
		return errInflate
	}
	return nil
}

// readLengths reads the lengths of n codes.
func (z *inflater) readLengths(n int, codeBits uint) error {
	for i := 0; i < n; {
		z.fill()
		e, err := z.symbol(z.dist[:], codeBits)
		if err != nil {
			return err
		}
		symbol := uint8(e >> 16)
		if symbol < 16 {
			z.lengths[i] = symbol
			i++
			continue
		}
		repeat := [...]struct {
			least uint32
			more  uint
		}{{3, 2}, {3, 3}, {11, 7}}[symbol-16]
		v, err := z.take(repeat.more)
		if err != nil {
			return err
		}
		times, length := int(repeat.least+v), uint8(0)
		if symbol == 16 {
			if i == 0 {
				return errInflate
			}
			length = z.lengths[i-1]
		}
		if i+times > n {
			return errInflate
		}
		for range times {
			z.lengths[i] = length
			i++
		}
	}
	return nil
}

// fixed sets the codes of blocks without codes of their own. Such a block may have ten bits,
// so that this must not take long: the tables stay for the blocks and streams that follow,
// and are made once.
func (z *inflater) fixed() {
	if z.isFixed {
		return
	}
	made := fixedCodes()
	copy(z.litLen[:1<<litLenBits], made.litLen[:])
	copy(z.dist[:1<<distBits], made.dist[:])
	z.isFixed = true
}

// fixedCodes returns an inflater with the fixed codes (RFC 1951, section 3.2.6), which have no
// subtables.
var fixedCodes = sync.OnceValue(func() *inflater {
	z := new(inflater)
	for i := range maxLitLen {
		switch {
		case i < 144:
			z.lengths[i] = 8
		case i < 256:
			z.lengths[i] = 9
		case i < 280:
			z.lengths[i] = 7
		default:
			z.lengths[i] = 8
		}
	}
	for i := range maxDist {
		z.lengths[maxLitLen+i] = 5
	}
	z.build(z.litLen[:], litLenBits, z.lengths[:maxLitLen], litLenSymbols[:])
	z.build(z.dist[:], distBits, z.lengths[maxLitLen:], distSymbols[:])
	return z
})

// The entries of symbols, without the bits of their codes.
var (
	litLenSymbols = litLenEntries()
	distSymbols   = distEntries()
	codeSymbols   = codeEntries()
)

func litLenEntries() (t [maxLitLen]uint32) {
	for i := range t {
		switch {
		case i < endOfBlock:
			t[i] = flagLiteral | uint32(i)<<16
		case i == endOfBlock:
			t[i] = flagExceptional | flagEnd
		case i >= mostLitLen:
			t[i] = flagExceptional
		}
	}
	base := uint32(3)
	for i := endOfBlock + 1; i < mostLitLen-1; i++ {
		more := uint32(max(0, (i-endOfBlock-1)/4-1))
		t[i] = base<<16 | more
		base += 1 << more
	}
	t[mostLitLen-1] = maxMatch << 16
	return t
}

func distEntries() (t [maxDist]uint32) {
	base := uint32(1)
	for i := range mostDist {
		more := uint32(max(0, i/2-1))
		t[i] = base<<16 | more
		base += 1 << more
	}
	for i := mostDist; i < maxDist; i++ {
		t[i] = flagExceptional
	}
	return t
}

func codeEntries() (t [len(codeOrder)]uint32) {
	for i := range t {
		t[i] = uint32(i) << 16
	}
	return t
}

// build makes the table of a code with these lengths. It reports false if they are those of
// no code.
func (z *inflater) build(table []uint32, tableBits uint, lengths []uint8, symbols []uint32) bool {
	var count [maxCodeBits + 1]int
	for _, l := range lengths {
		count[l]++
	}
	// What is left of the codes is 0 if all are used. A code of one symbol is allowed to
	// leave one (as zlib allows), and a code of none, which no symbol of is read.
	left, most := 1, uint(0)
	for l := uint(1); l <= maxCodeBits; l++ {
		left = left<<1 - count[l]
		if left < 0 {
			return false
		}
		if count[l] > 0 {
			most = l
		}
	}
	if left > 0 && most > 1 {
		return false
	}
	var next [maxCodeBits + 2]int
	for l := 1; l <= maxCodeBits; l++ {
		next[l+1] = next[l] + count[l]
	}
	for s, l := range lengths {
		if l > 0 {
			z.sorted[next[l]] = uint16(s)
			next[l]++
		}
	}
	if left > 0 { // at most one symbol, whose code is 0
		table[0], table[1] = flagExceptional, flagExceptional
		if most > 0 {
			table[0] = symbols[z.sorted[0]] + 1<<8 + 1
		}
		for n := 2; n < 1<<tableBits; n *= 2 {
			copy(table[n:2*n], table[:n])
		}
		return true
	}
	z.assign(table, tableBits, &count, most, symbols)
	return true
}

// assign writes the entries of sorted, by length: code is the code of the next symbol with
// its bits reversed, as they are read.
func (z *inflater) assign(table []uint32, tableBits uint, count *[maxCodeBits + 1]int, most uint, symbols []uint32) {
	code, i := uint32(0), 0
	for l := uint(1); l <= tableBits; l++ {
		for range count[l] {
			table[code] = symbols[z.sorted[i]] + uint32(l)<<8 + uint32(l)
			i++
			code = nextCode(code, l)
		}
		if l < tableBits { // shorter codes are followed by any bits
			copy(table[1<<l:2<<l], table[:1<<l])
		}
	}
	free, prefix, start, subBits := 1<<tableBits, uint32(1<<32-1), 0, uint(0)
	for l := tableBits + 1; l <= most; l++ {
		for remaining := count[l]; remaining > 0; remaining-- {
			if p := code & (1<<tableBits - 1); p != prefix {
				prefix, start = p, free
				subBits = l - tableBits
				for used := remaining; used < 1<<subBits; {
					subBits++
					used = used<<1 + count[tableBits+subBits]
				}
				free += 1 << subBits
				table[p] = uint32(start)<<16 | flagExceptional | flagSubtable | uint32(subBits)<<8 | uint32(tableBits)
			}
			s := l - tableBits
			e := symbols[z.sorted[i]] + uint32(s)<<8 + uint32(s)
			i++
			for at := int(code >> tableBits); at < 1<<subBits; at += 1 << s {
				table[start+at] = e
			}
			code = nextCode(code, l)
		}
	}
}

// nextCode returns the code of l bits after code; both are reversed.
func nextCode(code uint32, l uint) uint32 {
	zeros := code ^ (1<<l - 1)
	if zeros == 0 {
		return 0 // that was the last one
	}
	bit := uint32(1) << (bits.Len32(zeros) - 1)
	return code&(bit-1) | bit
}
