package otlp

import (
	"math"
	"math/bits"
)

// Decimal digits become the nearest double in two steps, as in "Number Parsing at a
// Gigabyte per Second" (Daniel Lemire, 2021). The first multiplies the first 19
// digits by a power of ten in 128 bits, and returns whether the error of that can
// change the result. If so, the second divides integers of any length. Its cost is
// bounded, for any digits and exponent: up to 800 digits count. strconv.ParseFloat
// is not used, since its second step takes 100 times as long.

const (
	// maxDecimalDigits is more than the 767 digits that the middle of two doubles can
	// have. Of the digits after them it only matters whether one is not 0.
	maxDecimalDigits = 800
	// Numbers 0.d₁d₂… × 10^point are 0 below the first, and out of range above the
	// second.
	minDecimalPoint, maxDecimalPoint = -323, 309
)

// double returns the double that is nearest to the number, of two the even one. ok
// is false if it is out of range.
func (n *jsonNumber) double() (v float64, ok bool) {
	var b uint64
	switch whole, frac, point := n.significant(); {
	case len(whole)+len(frac) == 0 || point < minDecimalPoint:
	case point > maxDecimalPoint:
		return 0, false
	default:
		if b, ok = roughDouble(whole, frac, point); !ok {
			b = exactDouble(whole, frac, point)
		}
	}
	if n.neg {
		b |= 1 << 63
	}
	v = math.Float64frombits(b)
	return v, !math.IsInf(v, 0)
}

// significant returns the number's absolute value as 0.<whole><frac> × 10^point,
// without zeros at either end.
func (n *jsonNumber) significant() (whole, frac []byte, point int) {
	switch {
	case len(n.whole) == 0:
		frac = n.frac[zerosEnd(n.frac):]
		return nil, frac, n.exp + len(frac) - len(n.frac)
	case len(n.frac) == 0:
		return trimZeros(n.whole), nil, n.exp + len(n.whole)
	}
	return n.whole, n.frac, n.exp + len(n.whole)
}

// zerosEnd returns the index of the first byte of b that is not the digit 0.
func zerosEnd(b []byte) int {
	i := 0
	for i < len(b) && b[i] == '0' {
		i++
	}
	return i
}

// roughDouble is the first step. It returns the bits of the double.
func roughDouble(whole, frac []byte, point int) (v uint64, ok bool) {
	mag, n := digits(whole, 0)
	if n == len(whole) {
		more, k := digits(frac[:min(len(frac), maxUint64Digits-n)], 0)
		mag = mag*tens[k] + more
		n += k
	}
	v, ok = scaled(mag, point-n)
	if ok && n < len(whole)+len(frac) {
		above, sure := scaled(mag+1, point-n)
		ok = sure && v == above
	}
	return v, ok
}

// maxUint64Digits is the number of digits that always fit in a uint64.
const maxUint64Digits = 19

// scaled returns the bits of the double nearest to mag × 10^exp. ok is false if the
// multiplication is not exact enough. mag is not 0.
func scaled(mag uint64, exp int) (v uint64, ok bool) {
	k := (exp - minBigPower) / bigPowerStep
	big := &bigPowers[k]
	exp -= minBigPower + k*bigPowerStep
	m1, m0 := bits.Mul64(mag, tens[exp])
	shift := 0
	if m1 == 0 {
		m1, m0, shift = m0, 0, 64
	}
	z := bits.LeadingZeros64(m1)
	m1, m0 = m1<<z|m0>>(64-z), m0<<z
	shift += z

	// The upper half of m × big, less the lower halves of its three small parts.
	hi, mid := bits.Mul64(m1, big.hi)
	a, _ := bits.Mul64(m1, big.lo)
	b, _ := bits.Mul64(m0, big.hi)
	mid, carry := bits.Add64(mid, a, 0)
	hi += carry
	mid, carry = bits.Add64(mid, b, 0)
	hi += carry
	binary := floorLog2(minBigPower+k*bigPowerStep) + 128 - shift
	if hi>>63 == 0 {
		hi, mid = hi<<1|mid>>63, mid<<1
		binary--
	}
	// The product is between (hi, mid) and (hi, mid+maxError): three parts and the
	// error of big are each less than 1, and are doubled by the last shift.
	const maxError = 8
	drop := droppedBits(binary)
	if drop > 64 {
		return 0, false
	}
	half := uint64(1) << (drop - 1)
	low := hi & (half<<1 - 1)
	if low == half && mid == 0 || low == half-1 && mid >= -maxError&math.MaxUint64 {
		return 0, false
	}
	return assemble(hi>>drop+low>>(drop-1), binary), true
}

// floorLog2 returns the integer part of the binary logarithm of 10^exp, for exp
// between -500 and 500.
func floorLog2(exp int) int { return exp * 108853 >> 15 }

const (
	mantissaBits   = 52
	minExponent    = -1022 // of a double that is not subnormal
	doubleExpBias  = 1023
	doubleInfinity = 0x7ff << mantissaBits
)

// droppedBits returns how many of the lowest of 64 bits do not fit in a double of
// this binary exponent. It is more than 64 for numbers below half of the smallest
// double.
func droppedBits(binary int) int {
	return 64 - 1 - mantissaBits + max(0, minExponent-binary)
}

// assemble returns the bits of a double with this mantissa, which includes the
// highest bit, and binary exponent. If rounding made the mantissa too long by a
// bit, the addition increments the exponent.
func assemble(mantissa uint64, binary int) uint64 {
	if binary < minExponent {
		return mantissa
	}
	if binary > doubleExpBias {
		return doubleInfinity
	}
	return uint64(binary+doubleExpBias-1)<<mantissaBits + mantissa
}

// exactDouble is the second step.
func exactDouble(whole, frac []byte, point int) uint64 {
	// The number is num/den × 2^exp, with exp the power of ten of its last digit.
	var num, den natural
	num.appendDigits(whole[:min(len(whole), maxDecimalDigits)])
	n := min(len(whole)+len(frac), maxDecimalDigits)
	num.appendDigits(frac[:max(0, n-len(whole))])
	if n < len(whole)+len(frac) {
		num.mulAdd(10, 1)
		n++
	}
	exp := point - n
	den.mulAdd(0, 1)
	num.mulPow5(max(0, exp))
	den.mulPow5(max(0, -exp))

	// With both shifted, the quotient has 63 or 64 bits, and the highest bit of den
	// is the highest of its word, as quotient expects.
	s := den.bitLen() - num.bitLen() + 63
	align := -(den.bitLen() + max(0, -s)) & 63
	num.shiftLeft(max(0, s) + align)
	den.shiftLeft(max(0, -s) + align)
	q, rest := num.quotient(&den)
	z := bits.LeadingZeros64(q)
	q <<= z
	binary := exp - s + 63 - z
	drop := droppedBits(binary)
	if drop > 64 {
		return 0
	}
	half := uint64(1) << (drop - 1)
	low, m := q&(half<<1-1), q>>drop
	if low > half || low == half && (rest || m&1 != 0) {
		m++
	}
	return assemble(m, binary)
}

// maxWords is enough for both numbers of exactDouble: 801 digits take 42 words, 5 to
// the power of 801+323 takes 41, and being aligned 2 more.
const maxWords = 46

// natural is a natural number. The words above len are 0.
type natural struct {
	words [maxWords]uint64 // the lowest first
	len   int              // without zeros at the end
}

// mulAdd multiplies x by m and adds a.
func (x *natural) mulAdd(m, a uint64) {
	for i, w := range x.words[:x.len] {
		hi, lo := bits.Mul64(w, m)
		sum, carry := bits.Add64(lo, a, 0)
		x.words[i], a = sum, hi+carry
	}
	if a != 0 {
		x.words[x.len] = a
		x.len++
	}
}

// appendDigits appends decimal digits to those of x.
func (x *natural) appendDigits(b []byte) {
	for i := 0; i < len(b); {
		v, next := digits(b, i)
		x.mulAdd(tens[next-i], v)
		i = next
	}
}

// mulPow5 multiplies x by 5^n.
func (x *natural) mulPow5(n int) {
	const most, power = 27, 7450580596923828125 // the largest in 64 bits
	for ; n >= most; n -= most {
		x.mulAdd(power, 0)
	}
	small := uint64(1)
	for range n {
		small *= 5
	}
	x.mulAdd(small, 0)
}

func (x *natural) bitLen() int { return 64*x.len - bits.LeadingZeros64(x.words[x.len-1]) }

func (x *natural) shiftLeft(n int) {
	up, n := n/64, n%64
	for i := x.len; i >= 0; i-- {
		w := x.words[i] << n
		if i > 0 {
			w |= x.words[i-1] >> (64 - n)
		}
		x.words[i+up] = w
	}
	clear(x.words[:up])
	if x.len += up + 1; x.words[x.len-1] == 0 {
		x.len--
	}
}

// quotient returns x/d, which must be less than 2⁶⁴, and whether there is a
// remainder. The highest bit of the highest word of d must be set. It changes x.
func (x *natural) quotient(d *natural) (q uint64, rest bool) {
	// Donald Knuth, "The Art of Computer Programming", section 4.3.1: a quotient of
	// the highest words is at most 2 too large.
	n := d.len
	if q = math.MaxUint64; x.words[n] < d.words[n-1] {
		q, _ = bits.Div64(x.words[n], x.words[n-1], d.words[n-1])
	}
	var carry, borrow uint64
	for i, w := range d.words[:n] {
		hi, lo := bits.Mul64(w, q)
		lo, c := bits.Add64(lo, carry, 0)
		carry = hi + c
		x.words[i], borrow = bits.Sub64(x.words[i], lo, borrow)
	}
	x.words[n], borrow = bits.Sub64(x.words[n], carry, borrow)
	for borrow != 0 { // negative
		q--
		carry = 0
		for i, w := range d.words[:n] {
			x.words[i], carry = bits.Add64(x.words[i], w, carry)
		}
		x.words[n], carry = bits.Add64(x.words[n], 0, carry)
		borrow -= carry
	}
	for _, w := range x.words[:n+1] {
		rest = rest || w != 0
	}
	return q, rest
}

const (
	bigPowerStep = 20
	minBigPower  = -360
)

// bigPowers holds 10^-360, 10^-340, … 10^300: the highest 128 bits of each.
var bigPowers = [...]struct{ hi, lo uint64 }{
	{0x89bf722840327f82, 0x16a7853ce21f945f}, // 10^-360
	{0xbaaee17fa23ebf76, 0x5d79bcf00d2df649}, // 10^-340
	{0xfd00b897478238d0, 0x8920b098955522b4}, // 10^-320
	{0xab70fe17c79ac6ca, 0x6dbd630a48aaf406}, // 10^-300
	{0xe858ad248f5c22c9, 0xd1b3400f8f9cff68}, // 10^-280
	{0x9d71ac8fada6c9b5, 0x6f773fc3603db4a9}, // 10^-260
	{0xd5605fcdcf32e1d6, 0xfb1e4a9a90880a64}, // 10^-240
	{0x9096ea6f3848984f, 0x3ff0d2c85def7621}, // 10^-220
	{0xc3f490aa77bd60fc, 0xbedbfc4411068a9c}, // 10^-200
	{0x84c8d4dfd2c63f3b, 0x29ecd9f40041e073}, // 10^-180
	{0xb3f4e093db73a093, 0x59ed216765690f56}, // 10^-160
	{0xf3e2f893dec3f126, 0x5a89dba3c3efccfa}, // 10^-140
	{0xa54394fe1eedb8fe, 0xc2974eb4ee658828}, // 10^-120
	{0xdff9772470297ebd, 0x59787e2b93bc56f7}, // 10^-100
	{0x97c560ba6b0919a5, 0xdccd879fc967d41a}, // 10^-80
	{0xcdb02555653131b6, 0x3792f412cb06794d}, // 10^-60
	{0x8b61313bbabce2c6, 0x2323ac4b3b3da015}, // 10^-40
	{0xbce5086492111aea, 0x88f4bb1ca6bcf584}, // 10^-20
	{0x8000000000000000, 0x0000000000000000}, // 10^0
	{0xad78ebc5ac620000, 0x0000000000000000}, // 10^20
	{0xeb194f8e1ae525fd, 0x5dcfab0800000000}, // 10^40
	{0x9f4f2726179a2245, 0x01d762422c946590}, // 10^60
	{0xd7e77a8f87daf7fb, 0xdc33745ec97be906}, // 10^80
	{0x924d692ca61be758, 0x593c2626705f9c56}, // 10^100
	{0xc646d63501a1511d, 0xb281e1fd541501b8}, // 10^120
	{0x865b86925b9bc5c2, 0x0b8a2392ba45a9b2}, // 10^140
	{0xb616a12b7fe617aa, 0x577b986b314d6009}, // 10^160
	{0xf6c69a72a3989f5b, 0x8aad549e57273d45}, // 10^180
	{0xa738c6bebb12d16c, 0xb428f8ac016561db}, // 10^200
	{0xe2a0b5dc971f303a, 0x2e44ae64840fd61d}, // 10^220
	{0x9991a6f3d6bf1765, 0xacca6da1e0a8ef29}, // 10^240
	{0xd01fef10a657842c, 0x2d2b7569b0432d85}, // 10^260
	{0x8d07e33455637eb2, 0xdb0b487b6423e1e8}, // 10^280
	{0xbf21e44003acdd2c, 0xe0470a63e6bd56c3}, // 10^300
}
