package probabilisticsamplerprocessor

import (
	"encoding/binary"
	"hash/fnv"
	"math"
)

const (
	hexDigits = 14
	never     = uint64(1) << (4 * hexDigits) // the threshold that no randomness reaches
	always    = uint64(0)                    // the threshold that each randomness reaches
	// allRandomness reaches each threshold but never.
	allRandomness = never - 1
	minRatio      = 1 / float64(never)

	// The hash has so many buckets, of which a share is passed on.
	bucketBits = 14
	buckets    = 1 << bucketBits
)

// thresholdOf returns the threshold of a ratio, rounded to so many digits after those at
// its beginning that are all 0 or all f. A ratio that is out of range has none.
func thresholdOf(ratio float64, digits int) (threshold uint64, ok bool) {
	if !(ratio >= minRatio && ratio <= 1) {
		return always, false
	}
	if ratio == 1 {
		return always, true
	}
	_, low := math.Frexp(ratio)
	_, high := math.Frexp(1 - ratio)
	digits = min(hexDigits, digits+max(-low/4, -high/4))
	threshold = never - uint64(math.Round(ratio*float64(never)))
	if cut := 4 * (hexDigits - digits); cut > 0 {
		unit := uint64(1) << cut
		threshold = (threshold + unit/2) / unit * unit
	}
	return threshold, true
}

// ratioOf is the ratio of a threshold.
func ratioOf(threshold uint64) float64 { return float64(never-threshold) / float64(never) }

// hashThreshold returns the threshold of a percentage for the randomness of hashes. The
// arithmetic is that of the Collector, in 32 bits and rounded towards 0.
func hashThreshold(percentage float32) uint64 {
	const scale = buckets / 100.0
	return (buckets - uint64(uint32(percentage*scale))) << (4*hexDigits - bucketBits)
}

// hashRandomness returns the randomness of bytes. Its 14 highest bits decide.
func hashRandomness(b []byte, seed uint32) uint64 {
	h := fnv.New32a()
	var first [4]byte
	binary.LittleEndian.PutUint32(first[:], seed)
	h.Write(first[:])
	h.Write(b)
	sum := h.Sum32()
	bucket, rest := uint64(sum%buckets), uint64(sum>>(32-bucketBits))
	return (buckets-1-bucket)<<42 | (rest^rest<<10)<<14 | bucket
}

// traceIDRandomness returns the last 56 bits of a trace id of 16 bytes.
func traceIDRandomness(id []byte) uint64 { return binary.BigEndian.Uint64(id[8:]) % never }

const hexText = "0123456789abcdef"

// appendRandomness appends 14 digits.
func appendRandomness(b []byte, randomness uint64) []byte {
	for shift := 4 * (hexDigits - 1); shift >= 0; shift -= 4 {
		b = append(b, hexText[randomness>>shift&15])
	}
	return b
}

// appendThreshold appends a threshold below never, without the zeros at its end.
func appendThreshold(b []byte, threshold uint64) []byte {
	b = append(b, hexText[threshold>>(4*(hexDigits-1))&15])
	for threshold = threshold << 4 % never; threshold != 0; threshold = threshold << 4 % never {
		b = append(b, hexText[threshold>>(4*(hexDigits-1))&15])
	}
	return b
}

// parseRandomness reads 14 digits.
func parseRandomness(text []byte) (randomness uint64, ok bool) {
	if len(text) != hexDigits {
		return 0, false
	}
	return parseHex(text)
}

// parseThreshold reads 1 to 14 digits; those that are missing are 0.
func parseThreshold(text []byte) (threshold uint64, ok bool) {
	if len(text) == 0 || len(text) > hexDigits {
		return 0, false
	}
	threshold, ok = parseHex(text)
	return threshold << (4 * (hexDigits - len(text))), ok
}

func parseHex(text []byte) (v uint64, ok bool) {
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(c)
	}
	return v, true
}
