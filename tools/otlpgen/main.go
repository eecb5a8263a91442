// Command otlpgen writes the generated half of package otlp from the protocol's
// own descriptors, which it takes from their Go modules. Run it by
//
//	go generate ./otlp
//
// and by -check in CI, which fails if the files on disk are not what it would
// write. Its one trap: it knows only what OTLP uses of protobuf (no maps, no
// groups, no field number above 31) and refuses the rest by name.
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
	dir := flag.String("dir", ".", "folder of package otlp")
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
	t, err := template.ParseFS(templates, "*.tmpl")
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name string
		data any
	}{{"views", &m}, {"builders", &m}, {"tables", &m}, {"enums", &m}, {"json", j}} {
		var out bytes.Buffer
		if err := t.ExecuteTemplate(&out, file.name+".tmpl", file.data); err != nil {
			return err
		}
		src, err := format.Source(out.Bytes())
		if err != nil {
			return fmt.Errorf("%s: %w", file.name, err)
		}
		if err := put(filepath.Join(dir, file.name+".gen.go"), src, check); err != nil {
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
