package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/penstock-telemetry/penstock/journal"
)

func (a *app) journalVerifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify folder",
		Short: "Read all records of a journal and compare their checksums",
		Long: `Read all records in the folder of a journal and compare their checksums. The exit code
is 1 if something is damaged.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := journal.Verify(cmd.Context(), args[0], a.verifyProgress())
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(a.stdout, result)
			} else {
				err = printVerification(a.stdout, result)
			}
			if err == nil && len(result.Damage) > 0 {
				err = fmt.Errorf("verify the journal %s: %s damaged", args[0], count(len(result.Damage), "place"))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// verifyProgress prints on a terminal how much was read.
func (a *app) verifyProgress() func(done, all int64) {
	f, ok := a.stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	last := time.Now()
	return func(done, all int64) {
		if time.Since(last) >= progressEvery {
			last = time.Now()
			fmt.Fprintf(a.stderr, "read %d of %d MiB\n", done>>20, all>>20)
		}
	}
}

func printVerification(w io.Writer, v journal.Verification) error {
	torn := ""
	if v.TornBytes > 0 {
		torn = fmt.Sprintf("; %d bytes of writes that were cut short", v.TornBytes)
	}
	if _, err := fmt.Fprintf(w, "%s with %s undamaged, %d bytes%s\n", count(v.Segments, "segment"), count(int(v.Records), "record"), v.Bytes, torn); err != nil {
		return err
	}
	return printDamage(w, v.Damage)
}

// printDamage prints a line for each place.
func printDamage(w io.Writer, places []journal.Damage) error {
	for _, d := range places {
		place := "damaged: "
		if d.File != "" {
			place += fmt.Sprintf("%s at offset %d: ", d.File, d.Offset)
		}
		if d.Last > 0 {
			place += fmt.Sprintf("records %s: ", sequences(d.First, d.Last))
		}
		if _, err := fmt.Fprintln(w, place+d.Reason); err != nil {
			return err
		}
	}
	return nil
}
