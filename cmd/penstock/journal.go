package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/penstock-telemetry/penstock/journal"
)

func (a *app) journalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "journal",
		Short: "Look at a journal on the disk",

		SuggestionsMinimumDistance: 2,
		Long: `Look at the folder of a journal, in which penstock keeps what it has acknowledged and
not delivered yet. Nothing is changed, and penstock may be running.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.journalInspectCommand(), a.journalVerifyCommand())
	return cmd
}

// printJSON prints v, indented.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// sequences is how a range of sequences is printed.
func sequences(first, last uint64) string {
	if last == 0 {
		return "-"
	}
	return fmt.Sprintf("%d..%d", first, last)
}

// heldCells is how an amount of records is printed.
func heldCells(h journal.Held) string {
	return fmt.Sprintf("%d\t%d\t%d", h.Records, h.Units, h.Bytes)
}
