// Command otlpgen writes the generated part of package otlp, and package
// otlp/otlpfield, from the descriptors of the protocol, which it takes from the
// official Go modules, and from texts.txt, which has the comments. Run it with
//
//	go generate ./otlp
//
// In CI it runs with -check, which fails if the files on disk differ from what
// it would write.
//
// It supports only what OTLP uses of protobuf (no maps, no groups, no field
// number above 31) and returns an error for everything else.
package main

import (
	"bytes"
	"embed"
	"flag"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"text/template"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

//go:embed *.tmpl
var templates embed.FS

func main() {
	dir := flag.String("dir", ".", "directory of package otlp")
	check := flag.Bool("check", false, "write nothing; fail if a file would change")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "otlpgen:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	var m model
	for _, req := range []proto.Message{
		&coltraces.ExportTraceServiceRequest{}, &colmetrics.ExportMetricsServiceRequest{},
		&collogs.ExportLogsServiceRequest{}, &colprofiles.ExportProfilesServiceRequest{},
	} {
		if err := m.add(req.ProtoReflect().Descriptor()); err != nil {
			return err
		}
	}
	j, err := newJSONModel(&m)
	if err != nil {
		return err
	}
	comments, err := readTexts(textsFile)
	if err != nil {
		return err
	}
	if err := comments.apply(j); err != nil {
		return err
	}
	t, err := template.ParseFS(templates, "*.tmpl")
	if err != nil {
		return err
	}
	for _, file := range []struct {
		template, path string
		data           any
	}{
		{"views.tmpl", "views.gen.go", &m}, {"builders.tmpl", "builders.gen.go", &m},
		{"tables.tmpl", "tables.gen.go", &m}, {"enums.tmpl", "enums.gen.go", &m},
		{"json.tmpl", "json.gen.go", j}, {"otlpfield.tmpl", "otlpfield/fields.gen.go", j},
	} {
		var out bytes.Buffer
		if err := t.ExecuteTemplate(&out, file.template, file.data); err != nil {
			return err
		}
		src, err := format.Source(wrapComments(out.Bytes()))
		if err != nil {
			return fmt.Errorf("%s: %w", file.path, err)
		}
		if err := put(filepath.Join(dir, file.path), src, check); err != nil {
			return err
		}
	}
	return nil
}

func put(path string, src []byte, check bool) error {
	if !check {
		return os.WriteFile(path, src, 0o644)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(old, src) {
		return fmt.Errorf("%s is out of date; run go generate ./otlp", path)
	}
	return nil
}
