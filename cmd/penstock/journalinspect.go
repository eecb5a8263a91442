package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/penstock-telemetry/penstock/journal"
)

func (a *app) journalInspectCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect folder",
		Short: "Show the segments and cursors of a journal",
		Long: `Show what is in the folder of a journal: segments, cursors with what they hold, and the
quarantine. It reads headers; "penstock journal verify" reads everything.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			report, err := journal.Inspect(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, report)
			}
			return printInspection(a.stdout, report)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func printInspection(w io.Writer, r journal.Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "Segment\tRecords\tCount\tUnits\tBytes\tOn disk\tState\n")
	for _, s := range r.Segments {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", s.Name, sequences(s.First, s.Last), heldCells(s.Stored), s.Bytes, segmentState(s))
	}
	fmt.Fprintf(table, "Total\tnext %d\t%s\t%d\t\n\n", r.Next, heldCells(r.Stored), r.Bytes)
	fmt.Fprintf(table, "Cursor\tMark\tHeld\tUnits\tBytes\tDamaged\tDropped\tState bytes\tAcknowledged above the mark\n")
	for _, c := range r.Cursors {
		fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%d\t%d\t%s\n", c.Name, c.Mark, heldCells(c.Held), c.Damaged.Records, c.Dropped.Records, c.StateBytes, ranges(c.Acknowledged))
	}
	if len(r.Quarantine) > 0 {
		fmt.Fprintf(table, "\nIn the quarantine\tBytes\n")
	}
	for _, f := range r.Quarantine {
		fmt.Fprintf(table, "%s\t%d\n", f.Name, f.Bytes)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return printDamage(w, r.Damage)
}

func segmentState(s journal.SegmentReport) string {
	state := "open"
	if s.Sealed {
		state = "sealed"
	}
	if s.Damaged {
		state += ", damaged"
	}
	return state
}

// maxRanges is how many ranges of a cursor are printed.
const maxRanges = 4

func ranges(list []journal.Range) string {
	if len(list) == 0 {
		return "-"
	}
	var texts []string
	for _, r := range list[:min(len(list), maxRanges)] {
		texts = append(texts, sequences(r.First, r.Last))
	}
	if more := len(list) - maxRanges; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}
