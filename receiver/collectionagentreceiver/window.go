package collectionagentreceiver

import collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"

// window remembers which of the last SequenceWindow numbers were seen, up to the
// highest. The zero window has seen none.
//
//	number n is bit n mod SequenceWindow; those in (highest-SequenceWindow, highest] count
type window struct {
	highest uint64
	bits    [collectionagentv1.SequenceWindow / 64]uint64
}

type sequenceState uint8

const (
	fresh  sequenceState = iota
	known                // it was seen
	tooOld               // it is not known whether it was
)

func bitOf(n uint64) (word int, bit uint64) {
	n %= collectionagentv1.SequenceWindow
	return int(n / 64), 1 << (n % 64)
}

func (w *window) state(n uint64) sequenceState {
	if n > w.highest {
		return fresh
	}
	if w.highest-n >= collectionagentv1.SequenceWindow {
		return tooOld
	}
	if word, bit := bitOf(n); w.bits[word]&bit != 0 {
		return known
	}
	return fresh
}

// add notes a number that is fresh.
func (w *window) add(n uint64) {
	if n > w.highest {
		if n-w.highest >= collectionagentv1.SequenceWindow {
			clear(w.bits[:])
		} else {
			for skipped := w.highest + 1; skipped < n; skipped++ {
				word, bit := bitOf(skipped)
				w.bits[word] &^= bit
			}
		}
		w.highest = n
	}
	word, bit := bitOf(n)
	w.bits[word] |= bit
}
