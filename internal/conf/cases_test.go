package conf

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/suggest"
)

// document is the target of the cases in testdata/cases: it has one field of
// every sort.
type document struct {
	Receivers map[name]*receiver `yaml:"receivers,omitempty"`
	Exporters map[name]*Node     `yaml:"exporters,omitempty"`
	Service   struct {
		Pipelines map[string]pipeline `yaml:"pipelines,omitempty"`
		Telemetry struct {
			Level      level             `yaml:"level,omitempty"`
			Attributes map[string]string `yaml:"attributes,omitempty"`
		} `yaml:"telemetry,omitempty"`
	} `yaml:"service,omitempty"`
}

type receiver struct {
	limits `yaml:",inline"`

	Endpoint string                   `yaml:"endpoint"`
	Timeout  time.Duration            `yaml:"timeout"`
	Verbose  bool                     `yaml:"verbose,omitempty"`
	Ratio    float64                  `yaml:"ratio,omitempty"`
	Port     uint16                   `yaml:"port,omitempty"`
	Headers  map[string]config.Secret `yaml:"headers,omitempty"`
	TLS      *tlsSettings             `yaml:"tls,omitempty" config:"section"`
	Secret   string                   `yaml:"-"`
}

func (r *receiver) SetDefaults() {
	r.Endpoint, r.Timeout, r.MaxItems = "localhost:4317", 5*time.Second, 100
}

type limits struct {
	MaxItems int `yaml:"max_items"`
}

func (l *limits) Validate() error {
	if l.MaxItems < 1 {
		return config.Atf("max_items", "must be positive, found %d", l.MaxItems)
	}
	return nil
}

type tlsSettings struct {
	CertFile string `yaml:"cert_file,omitempty"`
	KeyFile  string `yaml:"key_file,omitempty"`
}

func (s *tlsSettings) Validate() error {
	var errs []error
	if s.CertFile == "" {
		errs = append(errs, config.Atf("cert_file", "must be set"))
	}
	if s.KeyFile == "" {
		errs = append(errs, config.Atf("key_file", "must be set"))
	}
	return errors.Join(errs...)
}

type pipeline struct {
	Receivers  []name `yaml:"receivers,flow"`
	Processors []name `yaml:"processors,omitempty,flow"`
	Exporters  []name `yaml:"exporters,flow"`
}

// name is a component id.
type name string

func (n *name) UnmarshalText(text []byte) error {
	*n = name(strings.TrimSpace(string(text)))
	if *n == "" {
		return errors.New("expected a component id such as otlp or otlp/2")
	}
	return nil
}

// level implements config.Decoder.
type level int

func (l *level) DecodeConfig(n config.Value) error {
	words := []string{"none", "basic", "normal", "detailed"}
	for i, word := range words {
		if n.Text() == word {
			*l = level(i)
			return nil
		}
	}
	return fmt.Errorf("unknown level %q%s", n.Text(), suggest.Known(n.Text(), words))
}

func (l level) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "level %d", int(l)), nil }

var update = flag.Bool("update", false, "write the results to testdata/cases")

// TestCases runs each archive: "args" has one source per line (a line with = is a --set), "env" has
// NAME=value lines, every other file can be loaded. "want" is the output: warnings, then problems,
// or if there are none the effective tree and the decoded struct.
func TestCases(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(text), "-- want --\n")
			if !ok {
				t.Fatal(`the case has no "-- want --"`)
			}
			got := runCase(splitArchive(input))
			if *update {
				if err := os.WriteFile(path, []byte(input+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				want = got
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// splitArchive reads the txtar format: files between "-- name --" lines, after a comment.
func splitArchive(text string) map[string]string {
	files, current := map[string]string{}, ""
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(name, " --\n") {
			current = strings.TrimSuffix(name, " --\n")
			files[current] = ""
		} else if current != "" {
			files[current] += line
		}
	}
	return files
}

func runCase(archive map[string]string) string {
	env, files := map[string]string{}, map[string]string{}
	o := testOptions(env, files)
	for file, text := range archive {
		switch file {
		case "args":
			for arg := range strings.Lines(text) {
				arg = strings.ReplaceAll(strings.TrimSuffix(arg, "\n"), `\n`, "\n")
				if set, ok := strings.CutPrefix(arg, "--set "); ok {
					o.Set = append(o.Set, set)
				} else {
					o.Sources = append(o.Sources, arg)
				}
			}
		case "env":
			for line := range strings.Lines(text) {
				name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
				env[name] = strings.ReplaceAll(value, `\n`, "\n")
			}
		default:
			files[file] = text
		}
	}
	if o.Sources == nil {
		o.Sources = []string{"penstock.yaml"}
	}
	return printCase(o)
}

func printCase(o Options) string {
	var b bytes.Buffer
	tree, err := Load(o)
	if err != nil {
		return err.Error() + "\n"
	}
	for _, w := range tree.Warnings() {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	var c document
	if err := tree.Root().Decode(&c); err != nil {
		fmt.Fprintln(&b, err)
		return b.String()
	}
	for _, part := range []any{tree, c} {
		text, err := Marshal(part)
		if err != nil {
			return err.Error()
		}
		b.Write(text)
		b.WriteString("---\n")
	}
	return b.String()
}
