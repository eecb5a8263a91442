package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/otlp"
)

func (a *app) deadLetterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead-letter",
		Short: "Look at, send and drop what was refused for good",

		SuggestionsMinimumDistance: 2,
		Long: `Look at the dead letters in the directory of a file_storage: requests that a
destination has refused for good, or that were given up. They are kept until they are
dropped or sent.

penstock may be running: it is then asked over the socket penstock/control.sock in the
directory. Run the command as the user of penstock.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.deadLetterListCommand(), a.deadLetterShowCommand(), a.deadLetterReplayCommand(), a.deadLetterDropCommand())
	return cmd
}

// withLetters calls f with the dead letters of a storage.
func (a *app) withLetters(folder string, f func(*control.Storage) error) error {
	s, err := control.Open(folder, slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

// lettersOf returns the letters of a pipeline.
func lettersOf(s *control.Storage, pipeline string) (control.Letters, error) {
	l, ok := s.Letters[pipeline]
	if !ok {
		return nil, fmt.Errorf("find the dead letters of pipeline %q: there are only those of %q", pipeline, slices.Sorted(maps.Keys(s.Letters)))
	}
	return l, nil
}

// allLetters returns the letters of all pipelines, oldest first in each.
func allLetters(ctx context.Context, s *control.Storage) ([]control.Letter, error) {
	all := []control.Letter{}
	for _, pipeline := range slices.Sorted(maps.Keys(s.Letters)) {
		list, err := s.Letters[pipeline].List(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// idArgs checks that all arguments but the first are ids.
func idArgs(_ *cobra.Command, args []string) error {
	_, err := parseIDs(args[min(1, len(args)):])
	return err
}

// parseIDs reads ids, without repetitions.
func parseIDs(texts []string) (ids []control.ID, err error) {
	for _, text := range texts {
		id, err := control.ParseID(text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// getLetter returns a letter and its record.
func getLetter(ctx context.Context, s *control.Storage, id control.ID) (control.Letter, []byte, error) {
	letters, err := lettersOf(s, id.Pipeline)
	if err != nil {
		return control.Letter{}, nil, err
	}
	return letters.Get(ctx, id.Sequence)
}

// requestIn returns the request in a record, which may have it compressed.
func requestIn(b []byte) (otlp.Signal, []byte, error) {
	r, err := record.Decode(b)
	if err != nil {
		return 0, nil, err
	}
	request, err := r.Request()
	if err == nil {
		_, err = otlp.Limits{Depth: otlp.MaxDepth}.Check(r.Signal, request)
	}
	return r.Signal, request, err
}
