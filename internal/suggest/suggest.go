package suggest

import (
	"slices"
	"strconv"
	"strings"
)

// maxListed is how many known names an error lists.
const maxListed = 25

// Known returns the end of an error about an unknown name: the most similar known name, if
// there is one, and all known names: `, did you mean "b"? (known: a, b, c)`.
func Known(got string, known []string) string {
	known = slices.Sorted(slices.Values(known))
	text := ""
	if best := nearest(got, known); best != "" {
		text = ", did you mean " + strconv.Quote(best) + "?"
	}
	switch {
	case len(known) == 0:
		return text + " (known: none)"
	case len(known) > maxListed:
		return text + " (known: " + strings.Join(known[:maxListed], ", ") + ", ...)"
	}
	return text + " (known: " + strings.Join(known, ", ") + ")"
}

// Nearest returns the known name that got is most likely a misspelling of, or "".
func Nearest(got string, known []string) string {
	return nearest(got, slices.Sorted(slices.Values(known)))
}

// nearest returns the known name that got is most likely a misspelling of, or "".
func nearest(got string, known []string) string {
	const maxRunes = 64 // longer names are not typed by hand
	best, least := "", 0
	for _, k := range known {
		if len(got) > maxRunes || len(k) > maxRunes {
			continue
		}
		limit := min(len(got), len(k)) / 3
		distance := editDistance(normal(got), normal(k))
		if distance <= limit && (best == "" || distance < least) {
			best, least = k, distance
		}
	}
	return best
}

// normal hides differences that are not misspellings: maxSize, max-size, max_size.
func normal(s string) []rune {
	return []rune(strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s)))
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours.
func editDistance(a, b []rune) int {
	var before, last, row []int
	last = make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row = make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
