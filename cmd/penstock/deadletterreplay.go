package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

func (a *app) deadLetterReplayCommand() *cobra.Command {
	f := &replayFlags{}
	cmd := &cobra.Command{
		Use:   "replay folder [id...]",
		Short: "Send dead letters over OTLP",
		Long: `Send dead letters over OTLP, all of them or those that are named, oldest first in each
pipeline. One that the server accepts is dropped; one that it refuses, as a whole or in
part, stays. One that the server asks to send again is sent until it is settled.

Headers of the client that had sent a request are not sent: --header adds some.

The exit code is 1 if a letter was not accepted.`,
		Example: `  penstock dead-letter replay /var/lib/penstock
  penstock dead-letter replay /var/lib/penstock traces/17 --to http://localhost:4318`,
		Args: cobra.MatchAll(cobra.MinimumNArgs(1), idArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := parseIDs(args[1:])
			if err != nil {
				return err
			}
			sender, _, err := f.sender(cmd)
			if err != nil {
				return err
			}
			defer sender.Close()
			return a.withLetters(args[0], func(s *control.Storage) error {
				return f.sendLetters(cmd, s, sender, ids)
			})
		},
	}
	f.add(cmd.Flags())
	return cmd
}

// sendLetters sends letters, all if there are no ids.
func (f *replayFlags) sendLetters(cmd *cobra.Command, s *control.Storage, sender otlpclient.Sender, ids []control.ID) error {
	ctx := cmd.Context()
	if len(ids) == 0 {
		list, err := allLetters(ctx, s)
		if err != nil {
			return err
		}
		for _, l := range list {
			ids = append(ids, l.ID)
		}
	}
	r := f.replay(cmd, sender)
	r.file, r.size = "dead letters", int64(len(ids))
	for _, id := range ids {
		if err := r.sendLetter(ctx, s, id); err != nil {
			r.progress(true)
			return err
		}
		r.read++
		r.progress(false)
	}
	return r.finish()
}

// sendLetter sends a letter, and drops it if it was accepted.
func (r *replay) sendLetter(ctx context.Context, s *control.Storage, id control.ID) error {
	_, b, err := getLetter(ctx, s, id)
	if err != nil {
		return err
	}
	r.name = "dead letter " + id.String()
	signal, request, err := requestIn(b)
	if err != nil {
		r.requests, r.refused = r.requests+1, r.refused+1
		r.say("%s stays: %v", r.name, err)
		return nil
	}
	accepted, err := r.send(ctx, signal, request)
	if accepted {
		// Also if the command is being ended: it would be sent twice otherwise.
		if dropped := s.Letters[id.Pipeline].Drop(context.WithoutCancel(ctx), id.Sequence); dropped != nil {
			return fmt.Errorf("drop dead letter %s, which was accepted: %w", id, dropped)
		}
	}
	if err != nil {
		return fmt.Errorf("send dead letter %s: %w", id, err)
	}
	return nil
}
