package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"upall/compose"
	"upall/supervisor/process"
)

func newConfig(files *projectFlags) *cobra.Command {
	var quiet, services bool
	var format string
	cmd := &cobra.Command{
		Use:   "config [SERVICE...]",
		Short: "Check the compose files and print the project as it was loaded",
		RunE: func(cmd *cobra.Command, names []string) error {
			project, sources, err := files.load(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), names, false)
			if err != nil {
				return err
			}
			if _, err := compose.NewPlan(project, compose.PlanOptions{Prefix: process.AnyRange(), Sources: sources}); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case quiet:
				return nil
			case services:
				for _, name := range project.ServiceNames() {
					fmt.Fprintln(out, name)
				}
				return nil
			}
			text, err := project.MarshalYAML()
			switch format {
			case "yaml":
			case "json":
				text, err = project.MarshalJSON()
			default:
				return usageError{fmt.Errorf("--format %s: unknown (known: yaml, json)", format)}
			}
			if err != nil {
				return err
			}
			_, err = out.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "check only, print nothing")
	cmd.Flags().BoolVar(&services, "services", false, "print the names of the services")
	cmd.Flags().StringVar(&format, "format", "yaml", "`yaml` or json")
	return cmd
}
