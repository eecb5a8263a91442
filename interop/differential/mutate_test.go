package differential

import (
	"math/rand/v2"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock-telemetry/penstock/otlp"
)

// mutate returns a copy of a request with a few things changed. Most changes are
// made where the walk found a tag or a length, since a change elsewhere mostly
// changes a value.
func mutate(rng *rand.Rand, request []byte, o *oddities) []byte {
	b := slices.Clone(request)
	for range 1 + rng.IntN(3) {
		if len(b) == 0 {
			return b
		}
		at := rng.IntN(len(b))
		switch rng.IntN(11) {
		case 0: // a bit
			b[at] ^= 1 << rng.IntN(8)
		case 1: // a byte
			b[at] = byte(rng.Uint32())
		case 2: // the end
			b = b[:at]
		case 3: // bytes gone
			b = slices.Delete(b, at, min(len(b), at+1+rng.IntN(8)))
		case 4: // bytes more
			b = slices.Insert(b, at, b[at:min(len(b), at+1+rng.IntN(40))]...)
		case 5, 6: // a tag's wire type, or its number
			if i, ok := pick(rng, o.tags, len(b)); ok {
				b[i] ^= byte(1 + rng.IntN(0x7f))
			}
		case 7: // a length, by a little
			if i, ok := pick(rng, o.lengths, len(b)); ok {
				b[i] += byte(rng.IntN(5) - 2)
			}
		case 8: // a length or a tag, in ten bytes
			if i, ok := pick(rng, append(o.tags, o.lengths...), len(b)); ok && b[i] < 0x80 {
				b[i] |= 0x80
				b = slices.Insert(b, i+1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, byte(rng.IntN(4)))
			}
		case 9: // a field that nobody knows, with groups
			if i, ok := pick(rng, o.tags, len(b)); ok {
				b = slices.Insert(b, i, groups(rng)...)
			}
		case 10: // a resource with values nested about as deep as they may be
			if rng.IntN(8) == 0 {
				b = append(b, nested(otlp.DefaultDepth/2-2+rng.IntN(5))...)
			}
		}
	}
	return b
}

// pick returns one of the places that is still in a request of n bytes.
func pick(rng *rand.Rand, places []int, n int) (int, bool) {
	if len(places) == 0 {
		return 0, false
	}
	i := places[rng.IntN(len(places))]
	return i, i < n
}

// nested returns a ResourceX field with an attribute whose value is n deep.
func nested(n int) []byte {
	const arrayValue = 5
	wrap := func(num protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), v)
	}
	var v []byte
	for range n - 1 {
		v = wrap(arrayValue, wrap(1, v))
	}
	return wrap(1, wrap(1, wrap(1, wrap(2, v)))) // ResourceX, Resource, KeyValue, value
}

// groups returns nested groups, mostly closed as they should be.
func groups(rng *rand.Rand) (b []byte) {
	depth := 1 + rng.IntN(3)
	if rng.IntN(8) == 0 {
		depth = 60 + rng.IntN(10)
	}
	for range depth {
		b = append(b, 14<<3|3)
	}
	for range depth {
		b = append(b, 14<<3|4)
	}
	if rng.IntN(4) == 0 {
		b[rng.IntN(len(b))] += 8
	}
	return b
}
