package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/otlp"
)

func (a *app) deadLetterListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls folder",
		Short:   "List the dead letters",
		Long:    `List the dead letters in the directory of a file_storage, oldest first in each pipeline.`,
		Example: `  penstock dead-letter ls /var/lib/penstock`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withLetters(args[0], func(s *control.Storage) error {
				list, err := allLetters(cmd.Context(), s)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.stdout, list)
				}
				return printLetters(a.stdout, list, widthOf(a.stdout))
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// widthOf is the width of a terminal; 0: it is not one.
func widthOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// printLetters prints a table whose lines have at most width characters, if that is not
// 0.
func printLetters(w io.Writer, list []control.Letter, width int) error {
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "ID\tTime\tDestination\tItems\tBytes\tCode\tReason\n")
	for _, l := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", printable(l.ID.String()), formatTime(l.Time), printable(l.Destination), l.Items, l.Bytes, l.Code, printable(l.Reason))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, cutLine(strings.TrimRight(line, " \n"), width)); err != nil {
			return err
		}
	}
	return nil
}

// printable has a space for each control character, which a server may have sent.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func cutLine(line string, width int) string {
	characters := []rune(line)
	if width <= 0 || len(characters) <= width {
		return line
	}
	return string(characters[:width-1]) + "…"
}

// shownLetter is what show prints as JSON.
type shownLetter struct {
	control.Letter
	Signal  string          `json:"signal"`
	Request json.RawMessage `json:"request"`
}

func (a *app) deadLetterShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show folder id",
		Short:   "Show a dead letter: why it was refused, and the request",
		Long:    `Show why a request was refused, and the request as OTLP/JSON. The id is one that "ls" prints.`,
		Example: `  penstock dead-letter show /var/lib/penstock traces/17`,
		Args:    cobra.MatchAll(cobra.ExactArgs(2), idArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := control.ParseID(args[1])
			if err != nil {
				return err
			}
			return a.withLetters(args[0], func(s *control.Storage) error {
				l, b, err := getLetter(cmd.Context(), s, id)
				if err != nil {
					return err
				}
				signal, body, err := requestIn(b)
				if err != nil {
					return fmt.Errorf("show dead letter %s: %w", id, err)
				}
				shown := shownLetter{l, signal.String(), otlp.AppendJSON(nil, signal, body)}
				if asJSON {
					return printJSON(a.stdout, shown)
				}
				return printLetter(a.stdout, shown)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "all as one JSON object")
	return cmd
}

func printLetter(w io.Writer, l shownLetter) error {
	var request bytes.Buffer
	if err := json.Indent(&request, l.Request, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "ID:           %s\nTime:         %s\nDestination:  %s\nSignal:       %s\nItems:        %d\nBytes:        %d\nCode:         %s\nReason:       %s\n\n%s\n",
		printable(l.ID.String()), formatTime(l.Time), printable(l.Destination), l.Signal, l.Items, l.Bytes, l.Code, printable(l.Reason), request.String())
	return err
}
