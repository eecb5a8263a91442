package main

import (
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/internal/version"
	"github.com/penstock-telemetry/penstock/otlp"
)

const module = "github.com/penstock-telemetry/penstock"

// The types below describe the output, which has the form of the Collector's command.
type componentList struct {
	BuildInfo struct {
		Command     string `yaml:"command"`
		Description string `yaml:"description"`
		Version     string `yaml:"version"`
	} `yaml:"buildinfo"`
	Receivers  []componentEntry `yaml:"receivers"`
	Processors []componentEntry `yaml:"processors"`
	Exporters  []componentEntry `yaml:"exporters"`
	Connectors []componentEntry `yaml:"connectors"`
	Extensions []componentEntry `yaml:"extensions"`
	Providers  []provider       `yaml:"providers"`
}

type componentEntry struct {
	Name      string            `yaml:"name"`
	Aliases   []string          `yaml:"aliases,omitempty"`
	Module    string            `yaml:"module"`
	Stability map[string]string `yaml:"stability"`
}

type provider struct {
	Scheme string `yaml:"scheme"`
	Module string `yaml:"module"`
}

func (a *app) componentsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "components",
		Short: "List the component types of this build",
		Long:  `Print the component types of this build as YAML, with the stability of each for each signal.`,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			enc := yaml.NewEncoder(a.stdout)
			return enc.Encode(listComponents(version.Get()))
		},
	}
}

func listComponents(version string) componentList {
	var l componentList
	l.BuildInfo.Command, l.BuildInfo.Description, l.BuildInfo.Version = "penstock", "The pipe for traces, metrics, logs and profiles", version
	sections := map[component.Kind]*[]componentEntry{
		component.KindReceiver: &l.Receivers, component.KindProcessor: &l.Processors, component.KindExporter: &l.Exporters,
		component.KindConnector: &l.Connectors, component.KindExtension: &l.Extensions,
	}
	from := module + " " + version
	for _, t := range components.Default() {
		section := sections[t.Kind]
		*section = append(*section, componentEntry{t.Type, t.Aliases, from, stability(t)})
	}
	for _, scheme := range []string{"env", "file", "http", "https", "yaml"} {
		l.Providers = append(l.Providers, provider{scheme, from})
	}
	return l
}

// stability returns the stability by signal, for a connector by the signals on both sides.
func stability(t component.Descriptor) map[string]string {
	if t.Kind == component.KindExtension {
		return map[string]string{"extension": "Alpha"}
	}
	m := map[string]string{}
	for _, s := range otlp.Signals() {
		level, ok := t.Stability[s]
		switch name := s.String(); {
		case !ok:
		case t.Kind == component.KindConnector:
			for _, made := range t.Makes(s) {
				m[name+"-to-"+made.String()] = level
			}
		default:
			m[name] = level
		}
	}
	return m
}
