package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/pprof"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/exporter/fileexporter"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/reporter"
)

// realProfiles is a request of a real profiler, with three processes.
func realProfiles(t *testing.T) []byte {
	t.Helper()
	return testkit.ProfilerPayloads(t)["oncpu-010.binpb"]
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Every form of OTLP profiles in a file is recognized.
func TestConvertRecognisesOTLP(t *testing.T) {
	t.Parallel()
	request := realProfiles(t)
	text := otlp.AppendJSON(nil, otlp.Profiles, request)
	for name, c := range map[string]struct {
		data     []byte
		format   string
		requests int
	}{
		"protobuf":          {request, formatOTLP, 1},
		"protobuf, gzip":    {zipped(t, request), formatOTLP, 1},
		"JSON":              {text, formatOTLPJSON, 1},
		"JSON, gzip":        {zipped(t, text), formatOTLPJSON, 1},
		"JSON, indented":    {bytes.ReplaceAll(append([]byte("\n\t"), text...), []byte(`"profiles":`), []byte("\n  \"profiles\": ")), formatOTLPJSON, 1},
		"file, JSON":        {fileOf(t, "json", "", request), formatOTLPJSON, 2},
		"file, proto":       {fileOf(t, "proto", "", request), formatOTLP, 2},
		"file, JSON, zstd":  {fileOf(t, "json", "zstd", request), formatOTLP, 2},
		"file, proto, zstd": {fileOf(t, "proto", "zstd", request), formatOTLP, 2},
	} {
		in, err := readConvertInput(bytes.NewReader(c.data), "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if in.format != c.format || len(in.requests) != c.requests || len(in.profiles) != 3*c.requests {
			t.Errorf("%s: %s with %d requests, %d profiles", name, in.format, len(in.requests), len(in.profiles))
		}
		if _, err := readConvertInput(bytes.NewReader(c.data), formatPprof); err == nil {
			t.Errorf("%s passes for pprof", name)
		}
	}
}

// fileOf returns a file of the file exporter with a request twice.
func fileOf(t *testing.T, format, compression string, request []byte) []byte {
	t.Helper()
	cfg := fileexporter.DefaultConfig()
	cfg.Path, cfg.Format, cfg.Compression = filepath.Join(t.TempDir(), "profiles"), format, compression
	e, err := fileexporter.New(cfg, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b, err := pipeline.NewBatch(otlp.Profiles, bytes.Clone(request), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// pprof is recognized, compressed or not, also in the old text format.
func TestConvertRecognisesPprof(t *testing.T) {
	t.Parallel()
	var file, plain, legacy bytes.Buffer
	if err := pprof.Lookup("heap").WriteTo(&file, 0); err != nil {
		t.Fatal(err)
	}
	p, err := profile.ParseData(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WriteUncompressed(&plain); err != nil {
		t.Fatal(err)
	}
	if err := pprof.Lookup("goroutine").WriteTo(&legacy, 1); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"gzip": file.Bytes(), "plain": plain.Bytes(), "text": legacy.Bytes()} {
		in, err := readConvertInput(bytes.NewReader(data), "")
		if err != nil || in.format != formatPprof || len(in.profiles) != 1 {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
		if _, err := readConvertInput(bytes.NewReader(data), formatOTLP); err == nil {
			t.Errorf("%s passes for OTLP", name)
		}
	}
}

// OTLP converted from pprof follows all rules of profiles.
func TestConvertWritesConformingRequests(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"heap", "goroutine", "threadcreate"} {
		var file bytes.Buffer
		if err := pprof.Lookup(kind).WriteTo(&file, 0); err != nil {
			t.Fatal(err)
		}
		p, err := profile.ParseData(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		requests, err := requestsOf(t.Context(), p, libpf.NewAttributes(libpf.StringAttr("service.name", "test")))
		if err != nil || len(requests) != 1 {
			t.Fatalf("%s: %d requests, %v", kind, len(requests), err)
		}
		testkit.CheckProfiles(t, requests[0])
	}
	if _, err := requestsOf(t.Context(), &profile.Profile{}, ""); err == nil {
		t.Error("a request of nothing")
	}
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		n    int64
		unit string
	}{
		"0":            {0, "count"},
		"-12":          {-12, ""},
		"0s":           {0, "nanoseconds"},
		"999ns":        {999, "ns"},
		"1.23ms":       {1_234_567, "nanoseconds"},
		"-1m1.23s":     {-61_234_567_890, "nanoseconds"},
		"1023 B":       {1023, "bytes"},
		"1.0 KiB":      {1024, "By"},
		"-1.5 MiB":     {-3 << 19, "bytes"},
		"8.0 EiB":      {math.MaxInt64, "bytes"},
		"100000000000": {1e11, "objects"},
	} {
		if got := amount(c.n, c.unit); got != want {
			t.Errorf("%d %s: got %s, want %s", c.n, c.unit, got, want)
		}
	}
}

// convertArgs runs convert and returns what it writes.
func convertArgs(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := newConvertCommand()
	var out, stderr bytes.Buffer
	cmd.SetIn(bytes.NewReader(in))
	cmd.SetOut(&out)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%q: %v, %s", args, err, &stderr)
	}
	return out.Bytes()
}

// manySamples is a pprof profile of n stacks, without a time, that took ten seconds.
func manySamples(t *testing.T, n int) []byte {
	t.Helper()
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"}},
		PeriodType: &profile.ValueType{Type: "space", Unit: "bytes"}, Period: 1, DurationNanos: 10_000_000_000,
	}
	for i := range 400 {
		f := &profile.Function{ID: uint64(i + 1), Name: fmt.Sprintf("function%d", i)}
		p.Function = append(p.Function, f)
		p.Location = append(p.Location, &profile.Location{ID: f.ID, Address: uint64(i + 1), Line: []profile.Line{{Function: f, Line: 1}}})
	}
	for i := range n {
		s := &profile.Sample{Location: []*profile.Location{p.Location[i%400], p.Location[i/400%400]}, Value: []int64{1, int64(i % 3)}}
		if i%2 == 0 {
			s.Label = map[string][]string{"b": {"x"}, "a": {fmt.Sprint(i % 4)}}
		}
		p.Sample = append(p.Sample, s)
	}
	var b bytes.Buffer
	if err := p.WriteUncompressed(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The same input gives the same output, and what is unknown remains unknown.
func TestConvertIsRepeatable(t *testing.T) {
	t.Parallel()
	in := manySamples(t, 3000)
	first := convertArgs(t, in, "--to", "otlp")
	for range 3 {
		if again := convertArgs(t, in, "--to", "otlp"); !bytes.Equal(first, again) {
			t.Fatal("the output differs from run to run")
		}
	}
	p, err := profile.ParseData(convertArgs(t, first, "--to", "pprof"))
	if err != nil {
		t.Fatal(err)
	}
	if p.TimeNanos != 0 || p.DurationNanos != 10_000_000_000 {
		t.Errorf("at %d for %d ns: the time was unknown, and the duration 10 s", p.TimeNanos, p.DurationNanos)
	}
}

// What came in several requests is one profile after --merge.
func TestConvertMergesRequests(t *testing.T) {
	t.Parallel()
	p, err := profile.ParseData(manySamples(t, 50_000))
	if err != nil {
		t.Fatal(err)
	}
	requests, err := reporter.ConvertPprof(t.Context(), p, reporter.PprofMeta{}, reporter.OTLPConfig{MaxRequestBytes: 400_000})
	if err != nil {
		t.Fatal(err)
	}
	if len(requests) < 3 {
		t.Fatalf("%d requests, want several", len(requests))
	}
	merged, err := profile.ParseData(convertArgs(t, otlpFile(requests, formatOTLP).bytes, "--merge", "--to", "pprof"))
	if err != nil {
		t.Fatal(err)
	}
	sums := make([]int64, len(merged.SampleType))
	for _, s := range merged.Sample {
		for i, v := range s.Value {
			sums[i] += v
		}
	}
	if typesOf(merged) != typesOf(p) || sums[0] != 50_000 || sums[1] != 49_999 || merged.DurationNanos != p.DurationNanos {
		t.Errorf("%s: %v, want 50000 and 49999 of %s", typesOf(merged), sums, typesOf(p))
	}
}

// CPU profiles of gperftools are recognized.
func TestConvertRecognizesLegacyProfiles(t *testing.T) {
	t.Parallel()
	var cpu []byte
	for _, word := range []uint64{0, 3, 0, 10_000, 0, 5, 2, 0x401000, 0x402000, 0, 1, 0} {
		cpu = binary.LittleEndian.AppendUint64(cpu, word)
	}
	heap := []byte("heap profile: 1: 100 [2: 200] @ heap/524288\n1: 100 [2: 200] @ 0x401000 0x402000\n")
	for name, in := range map[string][]byte{"CPU": cpu, "CPU, gzip": zipped(t, cpu), "heap": heap} {
		out := convertArgs(t, in, "--to", "otlp")
		if _, err := otlp.Check(otlp.Profiles, out); err != nil || len(out) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
	}
}
