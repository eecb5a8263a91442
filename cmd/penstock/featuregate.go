package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/service"
)

// featureGateCommand has the form of the Collector's command.
func (a *app) featureGateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "featuregate [id]",
		Short: "List the feature gates of the Collector that are accepted",
		Long: `List the feature gates of the Collector that --feature-gates accepts. None has an
effect: what they enable is always on, or does not exist.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.listFeatureGates(args) },
	}
}

func (a *app) listFeatureGates(wanted []string) error {
	known := service.FeatureGates()
	if len(wanted) == 1 {
		for _, g := range known {
			if g.ID == wanted[0] {
				_, err := fmt.Fprintf(a.stdout, "Feature: %s\nEnabled: %t\nStage: Stable\nDescription: %s\n", g.ID, g.Enabled, g.Description)
				return err
			}
		}
		var ids []string
		for _, g := range known {
			ids = append(ids, g.ID)
		}
		return fmt.Errorf("unknown feature gate %q%s", wanted[0], suggest.Known(wanted[0], ids))
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tEnabled\tStage\tDescription")
	for _, g := range known {
		fmt.Fprintf(table, "%s\t%t\tStable\t%s\n", g.ID, g.Enabled, g.Description)
	}
	return table.Flush()
}
