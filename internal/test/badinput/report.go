package badinput

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// Tally counts the cases of one family.
type Tally struct {
	Cases, Bad, Passed, Failed, Skipped int
}

// Sum returns the tally of each family and that of all.
func Sum(results []Result) (families map[string]Tally, total Tally) {
	families = map[string]Tally{}
	add := func(t Tally, r Result) Tally {
		t.Cases++
		if r.Bad {
			t.Bad++
		}
		switch {
		case r.Skipped != "":
			t.Skipped++
		case len(r.Wrong) == 0:
			t.Passed++
		default:
			t.Failed++
		}
		return t
	}
	for _, r := range results {
		families[r.Family], total = add(families[r.Family], r), add(total, r)
	}
	return families, total
}

// Report writes a line for each failure, and the table.
func Report(w io.Writer, results []Result) {
	for _, r := range results {
		for _, wrong := range r.Wrong {
			fmt.Fprintf(w, "FAIL %s: %s\n", r.ID, wrong)
		}
	}
	families, total := Sum(results)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, t Tally) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t\n", name, t.Cases, t.Bad, t.Passed, t.Failed, t.Skipped)
	}
	fmt.Fprintf(table, "\nfamily\tcases\tbad\tpassed\tfailed\tskipped\t\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		row(name, families[name])
	}
	row("all", total)
	_ = table.Flush() // w is the caller's
}
