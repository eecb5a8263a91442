package amplify

import (
	"math/rand/v2"
	"strings"
)

// mutate returns a kind that differs a little.
func (k Kind) mutate(rng *rand.Rand) Kind {
	p := &k.piece
	if k.amplifier != nil || p.unit == "" {
		return k
	}
	switch n := rng.IntN(8); {
	case n == 0 && len(p.unit) > 1: // less
		at := rng.IntN(len(p.unit))
		p.unit = p.unit[:at] + p.unit[at+1:]
	case n == 1: // a byte more
		at := rng.IntN(len(p.unit) + 1)
		p.unit = p.unit[:at] + string([]byte{k.someByte(rng)}) + p.unit[at:]
	case n == 2: // at another level
		k.level = rng.IntN(len(k.path) + 1)
	case n == 3 && len(p.unit) < 512: // twice, or another piece of the message
		if p.open == "" {
			other := k.siblings[rng.IntN(len(k.siblings))]
			if other.open == "" {
				p.unit += p.sep + other.unit
				break
			}
		}
		p.unit += p.sep + p.unit
	default: // another byte
		at := rng.IntN(len(p.unit))
		p.unit = p.unit[:at] + string([]byte{k.someByte(rng)}) + p.unit[at+1:]
	}
	if !strings.HasSuffix(p.name, " changed") {
		p.name += " changed"
	}
	return k
}

// someByte returns a byte that can make a difference.
func (k Kind) someByte(rng *rand.Rand) byte {
	if k.Format.JSON {
		const all = `0123456789eE+-.",:{}[]\nu/ abcdAB=` + "\x01\n\t\xff\xc3\xa9"
		return all[rng.IntN(len(all))]
	}
	return byte(rng.Uint32())
}
