package main

import "github.com/spf13/cobra"

func (a *app) printConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "print-config",
		Short: "Show the configuration in effect",
		Long: `Print the configuration as YAML: with all sources merged, variables expanded, defaults
added and secrets redacted. Without --config it is the built-in one.`,
		Args: cobra.NoArgs,
		RunE: a.printConfig,
	}
	a.sourceFlags(cmd.Flags())
	return cmd
}

func (a *app) printConfig(*cobra.Command, []string) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	text, err := cfg.YAML()
	if err != nil {
		return err
	}
	a.warn(cfg.Warnings())
	_, err = a.stdout.Write(text)
	return err
}
