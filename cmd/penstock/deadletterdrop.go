package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/penstock-telemetry/penstock/internal/control"
)

func (a *app) deadLetterDropCommand() *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "drop folder {id... | --all}",
		Short: "Remove dead letters for good",
		Example: `  penstock dead-letter drop /var/lib/penstock traces/17 traces/18
  penstock dead-letter drop /var/lib/penstock --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || all == (len(args) > 1) {
				return errors.New("expected a folder, and either ids or --all")
			}
			return idArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := parseIDs(args[1:])
			if err != nil {
				return err
			}
			return a.withLetters(args[0], func(s *control.Storage) error {
				var n int
				if all {
					n, err = dropAll(cmd.Context(), s)
				} else {
					n, err = drop(cmd.Context(), s, ids)
				}
				if err != nil && n == 0 {
					return err
				}
				return errors.Join(a.printDropped(n, asJSON), err)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all dead letters in the directory")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the number as JSON")
	return cmd
}

func (a *app) printDropped(n int, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, control.Dropped{Dropped: n})
	}
	_, err := fmt.Fprintf(a.stdout, "%s dropped\n", count(n, "dead letter"))
	return err
}

func dropAll(ctx context.Context, s *control.Storage) (n int, err error) {
	for _, pipeline := range slices.Sorted(maps.Keys(s.Letters)) {
		dropped, err := s.Letters[pipeline].DropAll(ctx)
		n += dropped
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// drop drops the letters of each pipeline together.
func drop(ctx context.Context, s *control.Storage, ids []control.ID) (n int, err error) {
	sequences := map[string][]uint64{}
	for _, id := range ids {
		sequences[id.Pipeline] = append(sequences[id.Pipeline], id.Sequence)
	}
	for _, pipeline := range slices.Sorted(maps.Keys(sequences)) {
		letters, err := lettersOf(s, pipeline)
		if err != nil {
			return n, err
		}
		if err := letters.Drop(ctx, sequences[pipeline]...); err != nil {
			return n, err
		}
		n += len(sequences[pipeline])
	}
	return n, nil
}
