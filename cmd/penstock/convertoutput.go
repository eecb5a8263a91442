package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/internal/pprofconv"
	"github.com/penstock-telemetry/penstock/internal/version"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/reporter"
)

// convertOutput is a file to write.
type convertOutput struct {
	bytes  []byte
	binary bool
	what   string // describes the content
}

func pprofFiles(list []pprofconv.Named) (files []convertOutput, err error) {
	for _, n := range list {
		var b bytes.Buffer
		if err := n.Profile.Write(&b); err != nil {
			return nil, err
		}
		what := count(len(n.Profile.Sample), "sample") + " of " + typesOf(n.Profile)
		if n.Name != "" {
			what += ", " + n.Name
		}
		files = append(files, convertOutput{b.Bytes(), true, what})
	}
	return files, nil
}

// otlpFile returns a file with a request, or with several in the format of the file
// exporter.
func otlpFile(requests [][]byte, format string) convertOutput {
	out := convertOutput{binary: format == formatOTLP, what: count(len(requests), "request") + ", " + format}
	for _, r := range requests {
		switch {
		case format == formatOTLPJSON:
			out.bytes = append(otlp.AppendJSON(out.bytes, otlp.Profiles, r), '\n')
		case len(requests) == 1:
			out.bytes = r
		default:
			out.bytes = append(binary.BigEndian.AppendUint32(out.bytes, uint32(len(r))), r...)
		}
	}
	return out
}

// requestsOf converts a pprof profile to requests, with the reporter: to one, unless it
// is too large.
func requestsOf(ctx context.Context, p *profile.Profile, resource libpf.Attributes) ([][]byte, error) {
	requests, err := reporter.ConvertPprof(ctx, p, reporter.PprofMeta{}, reporter.OTLPConfig{
		Resource: resource, Name: "penstock", Version: version.Get(), MaxRequestBytes: maxConvertBytes,
	})
	if err != nil {
		return nil, err
	}
	if len(requests) == 0 {
		return nil, fmt.Errorf("all %s are 0", count(len(p.Sample), "sample"))
	}
	return requests, nil
}
