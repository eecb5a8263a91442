package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstock-telemetry/penstock/service"
)

func (a *app) validateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Say what is wrong with a configuration",
		Long: `Read the configuration, check all of it and make its components, without starting
any. Problems are printed one a line with their file, line and column, and the
exit code is 78 then. Warnings do not count.`,
		Args: cobra.NoArgs,
		RunE: a.validate,
	}
	a.sourceFlags(cmd.Flags())
	return cmd
}

func (a *app) validate(*cobra.Command, []string) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	a.warn(cfg.Warnings())
	if _, err := service.New(cfg, a.options()); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "The configuration is valid.")
	return nil
}
