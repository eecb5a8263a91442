package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/penstock-telemetry/penstock/internal/pprofconv"
	"github.com/penstock-telemetry/penstock/libpf"
)

// The formats of convert.
const (
	formatOTLP     = "otlp"
	formatOTLPJSON = "otlp-json"
	formatPprof    = "pprof"
)

var convertFormats = []string{formatPprof, formatOTLP, formatOTLPJSON}

// convertFlags are the flags of convert. Its files:
//
//	convert.go        the command
//	convertinput.go   recognize and decode the input
//	convertoutput.go  encode the output
//	convertlist.go    the table of --list
type convertFlags struct {
	output   string
	from, to string
	profile  int
	merge    bool
	list     bool
	labels   []string
	resource libpf.Attributes
}

func newConvertCommand() *cobra.Command {
	f := &convertFlags{}
	cmd := &cobra.Command{
		Use:   "convert [file]",
		Short: "Convert profiles between OTLP and pprof",
		Long: `Read profiles from a file or from standard input and write them in another format:
OTLP as pprof, and pprof as OTLP.

  pprof       a pprof profile, with or without gzip compression
  otlp        an export request in protobuf, or a file of the file exporter with
              "format: proto"
  otlp-json   an export request in OTLP/JSON, or a file of the file exporter with
              one request per line

The format of the input is recognized by its content. The format of the output is
that of the file name given with -o (.pb.gz and .pprof, .binpb, .json and .jsonl).

An OTLP request can have several profiles, such as one for each process. Choose one
from those that --list shows, write each into a file of its own, or add them with
--merge. Profiles of one process that differ only in their sample type become one
pprof profile.`,
		Example: `  penstock convert profiles.binpb --list
  penstock convert profiles.binpb -o profile.pb.gz --profile 3
  penstock convert profiles.jsonl -o all.pb.gz --merge
  penstock convert profiles.jsonl -o 'profile-%d.pb.gz'
  penstock convert cpu.pb.gz -o cpu.json --resource service.name=checkout
  curl -s localhost:6060/debug/pprof/heap | penstock convert --to otlp-json`,
		Args: func(cmd *cobra.Command, args []string) error {
			return errors.Join(cobra.MaximumNArgs(1)(cmd, args), f.complete(cmd.Flags().Changed))
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.output, "output", "o", "-", "`file` to write; with %d in its name, one for each profile; - is standard output")
	flags.StringVar(&f.from, "from", "", "`format` of the input: pprof, otlp or otlp-json")
	flags.StringVar(&f.to, "to", "", "`format` of the output")
	flags.BoolVar(&f.list, "list", false, "list the profiles in the input, and write nothing")
	flags.IntVar(&f.profile, "profile", 0, "`number` of the profile in --list to write as pprof")
	flags.BoolVar(&f.merge, "merge", false, "add profiles with equal sample types; resource attributes become labels of the samples")
	flags.StringArrayVar(&f.labels, "resource", nil, "`key=value` for the resource when converting pprof to OTLP; may be repeated")
	return cmd
}

// complete checks the flags and sets what depends on them.
func (f *convertFlags) complete(changed func(string) bool) error {
	var problems []error
	for flag, format := range map[string]string{"from": f.from, "to": f.to} {
		if format != "" && !slices.Contains(convertFormats, format) {
			problems = append(problems, fmt.Errorf("--%s %q: expected %s", flag, format, strings.Join(convertFormats, ", ")))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if changed("profile") && f.profile < 1 {
		problems = append(problems, fmt.Errorf("--profile %d: expected 1 or more", f.profile))
	}
	var list []libpf.Attribute
	for _, l := range f.labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			problems = append(problems, fmt.Errorf("--resource %q: expected key=value", l))
		}
		list = append(list, libpf.StringAttr(key, value))
	}
	f.resource = libpf.NewAttributes(list...)
	if f.to == "" {
		f.to = formatByName(f.output)
	}
	return errors.Join(problems...)
}

// formatByName returns the format for the suffix of a file name, "" if it is unknown.
func formatByName(name string) string {
	for _, n := range []struct{ suffix, format string }{
		{".pb.gz", formatPprof}, {".pprof", formatPprof}, {".pb", formatPprof},
		{".binpb", formatOTLP}, {".json", formatOTLPJSON}, {".jsonl", formatOTLPJSON},
	} {
		if strings.HasSuffix(name, n.suffix) {
			return n.format
		}
	}
	return ""
}

func (f *convertFlags) run(cmd *cobra.Command, args []string) error {
	name, source := "standard input", cmd.InOrStdin()
	if len(args) == 1 && args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return err // it has the name of the file
		}
		defer file.Close()
		name, source = args[0], file
	} else if isTerminal(source) {
		return errors.New("no input: expected a file name, or a file on standard input")
	}
	in, err := readConvertInput(source, f.from)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if f.list {
		return f.printList(cmd.OutOrStdout(), name, in)
	}
	out, err := f.convert(cmd.Context(), name, in)
	if err != nil {
		return err
	}
	return f.write(cmd, out)
}

// convert returns the files to write.
func (f *convertFlags) convert(ctx context.Context, name string, in *convertInput) ([]convertOutput, error) {
	to := f.to
	if to == "" {
		to = formatPprof
		if in.format == formatPprof {
			to = formatOTLP
		}
	}
	if to == formatPprof {
		if in.format == formatPprof {
			return nil, fmt.Errorf("%s has the format pprof already: choose another with --to (otlp, otlp-json)", name)
		}
		list, err := f.pick(name, in)
		if err != nil {
			return nil, err
		}
		return pprofFiles(list)
	}
	if f.profile != 0 || f.merge || strings.Contains(f.output, "%d") {
		return nil, fmt.Errorf("convert %s to %s: --profile, --merge and %%d in the file name are valid for pprof only", name, to)
	}
	if f.resource != "" && in.format != formatPprof {
		return nil, fmt.Errorf("%s is OTLP and has resources: --resource is valid for pprof only", name)
	}
	requests := in.requests
	if in.format == formatPprof {
		var err error
		if requests, err = requestsOf(ctx, in.profiles[0].Profile, f.resource); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return []convertOutput{otlpFile(requests, to)}, nil
}

// pick returns the profiles to write: one, unless the file name has a %d.
func (f *convertFlags) pick(name string, in *convertInput) ([]pprofconv.Named, error) {
	list, err := f.profiles(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case len(list) == 0:
		return nil, fmt.Errorf("%s has no profiles", name)
	case f.profile > len(list):
		return nil, fmt.Errorf("%s has no profile %d: it has %s, see --list", name, f.profile, count(len(list), "profile"))
	case f.profile > 0:
		return list[f.profile-1 : f.profile], nil
	case len(list) > 1 && !strings.Contains(f.output, "%d"):
		return nil, errors.New(f.tooMany(name, len(list)))
	}
	return list, nil
}

func (f *convertFlags) profiles(in *convertInput) ([]pprofconv.Named, error) {
	if !f.merge {
		return in.profiles, nil
	}
	return pprofconv.Merge(in.profiles)
}

func (f *convertFlags) tooMany(name string, n int) string {
	if f.merge {
		return fmt.Sprintf("%s has %d profiles with different sample types: choose one with --profile (see --list --merge), or write each with -o 'profile-%%d.pb.gz'", name, n)
	}
	return fmt.Sprintf("%s has %d profiles: choose one with --profile (see --list), add them with --merge, or write each with -o 'profile-%%d.pb.gz'", name, n)
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// write writes the outputs, and prints their names unless they go to standard output.
func (f *convertFlags) write(cmd *cobra.Command, outputs []convertOutput) error {
	if f.output == "-" {
		if outputs[0].binary && isTerminal(cmd.OutOrStdout()) {
			return errors.New("the output is binary and standard output is a terminal: write to a file with -o")
		}
		_, err := cmd.OutOrStdout().Write(outputs[0].bytes)
		return err
	}
	for i, out := range outputs {
		n := i + 1
		if f.profile > 0 {
			n = f.profile
		}
		name := strings.ReplaceAll(f.output, "%d", fmt.Sprint(n))
		if err := os.WriteFile(name, out.bytes, 0o666); err != nil { // before the umask
			return err
		}
		if _, err := io.WriteString(cmd.ErrOrStderr(), name+": "+out.what+"\n"); err != nil {
			return err
		}
	}
	return nil
}
