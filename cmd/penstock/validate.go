package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstock-telemetry/penstock/service"
)

func (a *app) validateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a configuration",
		Long: `Read the configuration, check all of it and create its components, without starting
them. Problems are printed one per line with file, line and column, and the exit
code is 78. Warnings do not affect the exit code.`,
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
	text := "The configuration is valid."
	if len(a.sources.URIs) == 0 {
		text = "The built-in configuration is valid; no --config was given."
	}
	fmt.Fprintln(a.stdout, text)
	return nil
}
