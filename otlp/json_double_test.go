package otlp

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// parseDouble is the oracle. strconv forgets the place of the point if there are more
// than 800 digits before it.
func parseDouble(text string) (float64, error) {
	if len(text) < 700 {
		return strconv.ParseFloat(text, 64)
	}
	big, _, err := big.ParseFloat(text, 10, 16<<10, big.ToNearestEven)
	if err != nil {
		return 0, err
	}
	v, _ := big.Float64()
	if math.IsInf(v, 0) {
		return 0, strconv.ErrRange
	}
	return v, nil
}

// checkDouble compares the double of a number with that of strconv, which is exact.
// It does so for each step alone, too, and reports whether the first one was enough.
func checkDouble(t testing.TB, text string) (rough bool) {
	t.Helper()
	want, err := parseDouble(text)
	n, end := splitNumber([]byte(text), 0)
	if end != len(text) {
		t.Fatalf("%.100q is not a number", text)
	}
	got, ok := n.double()
	if ok != (err == nil) || ok && math.Float64bits(got) != math.Float64bits(want) {
		t.Fatalf("%.900s: got %x, %v, want %x, %v", text, got, ok, want, err)
	}
	if ok && got != 0 {
		whole, frac, point := n.significant()
		exact := exactDouble(whole, frac, point)
		if exact != math.Float64bits(math.Abs(want)) {
			t.Fatalf("%.900s: exactly it is %x, want %x", text, math.Float64frombits(exact), want)
		}
		_, rough = roughDouble(whole, frac, point)
	}
	return rough
}

func TestDoubles(t *testing.T) {
	zeros := strings.Repeat("0", 900)
	for _, text := range []string{
		"0", "-0", "0.0", "-0e5", "0e99999999999", "1", "-1", "10", "1e23", "9007199254740993", "9007199254740993e1", "90071992547409930000e-3",
		"5e-324", "2.47e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "2e-324", "1e-324", "9.9e-325", "1e-999999999999",
		"1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "17976931348623157e292", "1e309", "1e999999999999",
		"2.2250738585072011e-308", "2.2250738585072012e-308", "2.2250738585072014e-308", "4.9406564584124654e-324",
		"0." + zeros + "1", "0." + zeros + "1e901", "0." + zeros + "1e600", "1" + zeros, "1" + zeros + "e-900", "1" + zeros + ".0e-900", "1" + zeros + "." + zeros + "1e-900",
		"9999999999999999999", "99999999999999999999", "9999999999999999999.9999", "18446744073709551615", "18446744073709551616",
	} {
		checkDouble(t, text)
		checkDouble(t, "-"+strings.TrimPrefix(text, "-"))
	}
}

// middle returns all digits of the number in the middle of the positive double with
// these bits and the next one.
func middle(b uint64) string {
	low, high := math.Float64frombits(b), math.Float64frombits(b+1)
	sum := new(big.Float).SetPrec(3000).Add(big.NewFloat(low).SetPrec(3000), big.NewFloat(high).SetPrec(3000))
	return sum.Quo(sum, big.NewFloat(2)).Text('e', 800)
}

// The hardest numbers are in the middle of two doubles, or next to it: with all of
// their digits, with fewer, and with more.
func TestDoublesInTheMiddle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		b := rng.Uint64() >> 1 % (doubleInfinity - 1)
		if rng.IntN(2) == 0 {
			b >>= 11 + rng.IntN(52) // subnormal
		}
		mantissa, exp, _ := strings.Cut(middle(b), "e")
		digits := strings.TrimRight(mantissa, "0")
		n := 2 + rng.IntN(len(mantissa)-2)
		for _, m := range []string{
			digits, digits + "1", digits + strings.Repeat("0", rng.IntN(900)) + "1", mantissa[:n], mantissa[:n] + "1", mantissa[:n] + "5", mantissa[:min(n, 20)],
		} {
			checkDouble(t, strings.TrimSuffix(m, ".")+"e"+exp)
			if last := len(m) - 1; m[last] > '0' { // just below
				checkDouble(t, m[:last]+string(m[last]-1)+strings.Repeat("9", rng.IntN(100))+"e"+exp)
			}
		}
	}
}

// randomNumber returns a number of up to maxDigits digits, in range or near it.
func randomNumber(rng *rand.Rand, maxDigits int) string {
	var b strings.Builder
	n := 1 + rng.IntN(maxDigits)
	b.WriteByte(byte('1' + rng.IntN(9)))
	if rng.IntN(2) == 0 {
		b.WriteByte('.')
	}
	for range n {
		b.WriteByte(byte('0' + rng.IntN(10)))
	}
	b.WriteString("e" + strconv.Itoa(rng.IntN(680)-345))
	return b.String()
}

func TestRandomDoubles(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 30_000 {
		checkDouble(t, randomNumber(rng, 25))
	}
	for range 2000 {
		checkDouble(t, randomNumber(rng, 1000))
	}
	// The second step is for the hardest numbers only. The shortest text of a double
	// is what others write.
	slow := 0
	for range 30_000 {
		b := rng.Uint64() >> 1 % doubleInfinity
		if rng.IntN(4) == 0 {
			b >>= 11
		}
		if text := strconv.FormatFloat(math.Float64frombits(b), 'e', -1, 64); !checkDouble(t, text) {
			slow++
		}
	}
	if slow > 30 {
		t.Errorf("the first step was not enough for %d of 30,000 ordinary doubles", slow)
	}
}

func TestBigPowers(t *testing.T) {
	for i, p := range bigPowers {
		exp := int64(minBigPower + i*bigPowerStep)
		num, den := big.NewInt(1), big.NewInt(1)
		abs := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(exp, -exp)), nil)
		if exp < 0 {
			den = abs
		} else {
			num = abs
		}
		// num/den = q × 2^-shift, with q of 128 bits.
		shift := 127 - floorLog2(int(exp))
		num.Lsh(num, uint(max(0, shift)))
		den.Lsh(den, uint(max(0, -shift)))
		q := num.Quo(num, den)
		got := new(big.Int).SetUint64(p.hi)
		got.Lsh(got, 64).Add(got, new(big.Int).SetUint64(p.lo))
		if q.Cmp(got) != 0 {
			t.Errorf("10^%d is %x, want %x", exp, got, q)
		}
	}
}

func FuzzDoubles(f *testing.F) {
	for _, s := range []string{"1", "1.5e-310", "9007199254740993e1", "2.4703282292062327e-324", "0.0000012345678901234567890e308", middle(1), middle(1 << 52)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, end := splitNumber([]byte(text), 0); end == len(text) && end > 0 && len(text) < 5000 {
			checkDouble(t, text)
		}
	})
}
