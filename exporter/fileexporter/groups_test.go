package fileexporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func groupConfig(path string) Config {
	cfg := protoConfig(path)
	cfg.GroupBy.Enabled, cfg.GroupBy.ResourceAttribute, cfg.Append = true, "app", true
	return cfg
}

// logsOf is a request with a resource for each value, which is "-" for none and "7" for
// a number, and with one record each.
func logsOf(values ...string) []byte {
	var e otlp.Encoder
	for _, value := range values {
		rl := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
		res := rl.SetResource()
		if value != "-" {
			kv := res.AddAttributes()
			kv.SetKey("app")
			v := kv.SetValue()
			if value == "7" {
				v.SetIntValue(7)
			} else {
				v.SetStringValue(value)
			}
			v.Close()
			kv.Close()
		}
		res.Close()
		sl := rl.AddScopeLogs()
		record := sl.AddLogRecords()
		record.SetSeverityText("of " + value)
		record.Close()
		sl.Close()
		rl.Close()
	}
	return wire.AppendBytes(e.Buf, 200, "unknown field")
}

// filesIn returns the records of all files below a directory, by relative path.
func filesIn(t *testing.T, dir string) map[string][][]byte {
	t.Helper()
	all := map[string][][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		name, _ := filepath.Rel(dir, path)
		for r := NewReader(f, maxTestRecordBytes); ; {
			record, err := r.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			all[name] = append(all[name], bytes.Clone(record))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Each value of the attribute has its file, which gets its resources as a request of
// its own. Resources without it are rejected.
func TestGroupBy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := start(t, groupConfig(filepath.Join(dir, "of-*.bin")))
	if err := consume(t, e, otlp.Logs, logsOf("cart", "shop/eu", "cart")); err != nil {
		t.Error(err)
	}
	whole := logsOf("cart", "cart")
	if err := consume(t, e, otlp.Logs, whole); err != nil {
		t.Error(err)
	}
	err := consume(t, e, otlp.Logs, logsOf("-", "cart", "7"))
	if p := pipeline.Classify(err); p.Kind != pipeline.Partial || p.Rejected != 2 || !strings.Contains(err.Error(), `"app"`) {
		t.Errorf("%+v", p)
	}
	err = consume(t, e, otlp.Logs, logsOf("-"))
	if p := pipeline.Classify(err); p.Kind != pipeline.Partial || p.Rejected != 1 {
		t.Errorf("%+v", p)
	}
	got := filesIn(t, dir)
	want := map[string][][]byte{
		"of-cart.bin":    {logsOf("cart", "cart"), whole, logsOf("cart")},
		"of-shop/eu.bin": {logsOf("shop/eu")},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// The files together have what was sent, for all signals, and in profiles with the
// dictionary that the attribute may refer to.
func TestGroupByEverySignal(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range otlp.Signals() {
		dir := t.TempDir()
		cfg := groupConfig(filepath.Join(dir, "*"))
		cfg.GroupBy.ResourceAttribute = "service.name"
		cfg.GroupBy.MaxOpenFiles = 2
		e := start(t, cfg)
		sent, rejected := 0, 0
		for range 50 {
			request := namedResources(rng, s)
			items, err := otlp.Check(s, request)
			if err != nil {
				t.Fatal(err)
			}
			sent += items
			if err := consume(t, e, s, request); err != nil {
				p := pipeline.Classify(err)
				if p.Kind != pipeline.Partial {
					t.Fatal(err)
				}
				rejected += int(p.Rejected)
			}
		}
		kept := 0
		for name, records := range filesIn(t, dir) {
			for _, record := range records {
				n, err := otlp.Check(s, record)
				if err != nil {
					t.Fatalf("%s %s: %v", s, name, err)
				}
				kept += n
				dictionary := otlp.DictionaryOf(s, record)
				for g := range otlp.Groups(record) {
					if v, _ := otlp.Attribute(g.Resource.Attributes(), dictionary, "service.name"); string(v.Text()) != name {
						t.Errorf("%s: a resource of %q is in the file %q", s, v.Text(), name)
					}
				}
			}
		}
		if kept == 0 || rejected == 0 || kept+rejected != sent {
			t.Errorf("%s: sent %d, kept %d, rejected %d", s, sent, kept, rejected)
		}
	}
}

// namedResources is a request of some resources with the names a, b, c or none, which
// are references in profiles, with an item each.
func namedResources(rng *rand.Rand, s otlp.Signal) []byte {
	names := []string{"", "service.name", "a", "b", "c"}
	field := func(num uint32, v []byte) []byte { return wire.AppendBytes(nil, num, v) }
	item := map[otlp.Signal][]byte{
		otlp.Metrics:  field(otlpfield.MetricGauge, field(otlpfield.GaugeDataPoints, nil)),
		otlp.Profiles: field(otlpfield.ProfileSamples, nil),
	}[s]
	var request []byte
	for range 1 + rng.IntN(5) {
		name := 1 + rng.IntN(4) // 1 is none
		attribute := append(field(otlpfield.KeyValueKey, []byte("service.name")),
			field(otlpfield.KeyValueValue, field(otlpfield.AnyValueStringValue, []byte(names[name])))...)
		if s.Spec().HasDictionary {
			attribute = append([]byte{otlpfield.KeyValueKeyStrindex<<3 | byte(wire.TypeVarint), 1},
				field(otlpfield.KeyValueValue, []byte{otlpfield.AnyValueStringValueStrindex<<3 | byte(wire.TypeVarint), byte(name)})...)
		}
		var resource []byte
		if name > 1 {
			resource = field(otlpfield.ResourceXResource, field(otlpfield.ResourceAttributes, attribute))
		}
		request = append(request, field(otlpfield.RequestResources, append(resource, field(otlpfield.ResourceXScopes, field(otlpfield.ScopeXItems, item))...))...)
	}
	if s.Spec().HasDictionary {
		var table []byte
		for _, name := range names {
			table = append(table, field(otlpfield.ProfilesDictionaryStringTable, []byte(name))...)
		}
		request = append(request, field(otlpfield.ExportProfilesServiceRequestDictionary, table)...)
	}
	return request
}

// Whatever the attribute is, its file is in the directory, and can be made.
func TestGroupByStaysInTheDirectory(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	inside := filepath.Join(root, "in", "side")
	long := strings.Repeat("ä", 300)
	values := []string{
		"", ".", "..", "../..", "../../x", "/etc/passwd", "a/../../../../b", "a/./b", "a//b", "./../c", "..\\..\\d", "...", "\x00", "a\x00b", "n\ne\tw", "\xff",
		long, long + "x", strings.Repeat("d/", 800), strings.Repeat("../", 800) + "e", "~root", "-rf", "*", "a b", "CON", "..a", "a..",
	}
	e := start(t, groupConfig(filepath.Join(inside, "p*.bin")))
	for i, v := range values {
		if err := consume(t, e, otlp.Logs, logsOf(v)); err != nil {
			t.Errorf("%d: %.20q: %v", i, v, err)
		}
	}
	records := 0
	for name, all := range filesIn(t, root) {
		records += len(all)
		if !strings.HasPrefix(name, filepath.Join("in", "side")+string(filepath.Separator)) {
			t.Errorf("the file %q is outside", name)
		}
	}
	if records != len(values) {
		t.Errorf("%d records, want %d", records, len(values))
	}
	if a, b := e.groups.path([]byte(long)), e.groups.path([]byte(long+"x")); a == b {
		t.Error("two long values have the same file")
	}
}

func FuzzGroupPath(f *testing.F) {
	g := newGroups(groupConfig(filepath.Join("dir", "logs", "x-*.json")), nil)
	for _, seed := range []string{"", "..", "../x", "a/b", "\x00", strings.Repeat("../", 500), "\xff\xfe"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		path := g.path(value)
		if !strings.HasPrefix(path, g.prefix) || !strings.HasSuffix(path, g.suffix) || len(path) > 8*maxSegmentBytes {
			t.Fatalf("%.100q becomes %.100q", value, path)
		}
		if filepath.Clean(path) != path || strings.Contains(path, "\x00") {
			t.Fatalf("%.100q becomes %.100q, which is not clean", value, path)
		}
		for name := range strings.SplitSeq(path, "/") {
			if len(name) > 255 {
				t.Fatalf("a name of %d bytes", len(name))
			}
		}
	})
}

// A number of files is open at a time. One that was closed is appended to later, also
// without append, and flushed before it is closed.
func TestGroupByOpenFiles(t *testing.T) {
	t.Parallel()
	for _, buffered := range []bool{false, true} {
		dir := t.TempDir()
		cfg := groupConfig(filepath.Join(dir, "*"))
		cfg.Append, cfg.GroupBy.MaxOpenFiles = false, 3
		if buffered {
			cfg.FlushInterval = 1 << 40
		}
		before := filepath.Join(dir, "app0")
		if err := os.WriteFile(before, []byte("of an earlier run"), 0o600); err != nil {
			t.Fatal(err)
		}
		e := started(t, cfg)
		for round := range 3 {
			for i := range 10 {
				if err := consume(t, e, otlp.Logs, logsOf(fmt.Sprint("app", i))); err != nil {
					t.Fatal(err)
				}
				if n := e.groups.recent.Len(); n > 3 || n != len(e.groups.open) || round > 0 && n != 3 {
					t.Fatalf("%d files are open, %d by path", n, len(e.groups.open))
				}
			}
		}
		stop(t, e)
		got := filesIn(t, dir)
		if len(got) != 10 {
			t.Errorf("%d files", len(got))
		}
		for name, records := range got {
			if len(records) != 3 {
				t.Errorf("buffered %t: %s has %d records, want 3", buffered, name, len(records))
			}
		}
	}
}

// The buffers of all files together have a bound.
func TestGroupByBuffersAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := groupConfig(filepath.Join(dir, "*"))
	cfg.FlushInterval = 1 << 40
	e := start(t, cfg)
	for i := range 60 {
		request := append(logsOf(fmt.Sprint("app", i%20)), wire.AppendBytes(nil, 201, make([]byte, 100_000))...)
		if err := consume(t, e, otlp.Logs, request); err != nil {
			t.Fatal(err)
		}
		sum := 0
		for at := e.groups.recent.Front(); at != nil; at = at.Next() {
			sum += len(at.Value.(*recordFile).pending)
		}
		if sum > maxPendingBytes+200_000 {
			t.Fatalf("%d bytes are buffered", sum)
		}
	}
}

// A directory that was removed is made again.
func TestGroupByDirectoryIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := start(t, groupConfig(filepath.Join(dir, "*", "out.bin")))
	for range 2 {
		if err := consume(t, e, otlp.Logs, logsOf("cart")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "cart")); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 2 { // the first one finds out
		if err = consume(t, e, otlp.Logs, logsOf("cart")); err == nil {
			break
		}
		if pipeline.Classify(err).Kind != pipeline.Retryable {
			t.Fatal(err)
		}
	}
	if got := filesIn(t, dir)["cart/out.bin"]; err != nil || len(got) != 1 {
		t.Errorf("%v, %d records", err, len(got))
	}
}

// In JSON, with rotation and permissions of directories.
func TestGroupByWithOtherKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := groupConfig(filepath.Join(dir, "new", "*.json"))
	cfg.Format, cfg.DirectoryPermissions, cfg.Rotation = formatJSON, "0700", &Rotation{MaxMegabytes: 1}
	e := start(t, cfg)
	if err := consume(t, e, otlp.Logs, logsOf("cart", "shop")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "new", "shop.json"))
	if err != nil || !strings.Contains(string(text), `"of shop"`) || strings.Contains(string(text), "cart") {
		t.Errorf("%v, %s", err, text)
	}
	if info, err := os.Stat(filepath.Join(dir, "new")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A file that cannot be opened makes the batch retryable.
func TestGroupByFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := start(t, groupConfig(filepath.Join(dir, "*")))
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := consume(t, e, otlp.Logs, logsOf("cart", "taken"))
	if p := pipeline.Classify(err); p.Kind != pipeline.Retryable || e.groups.open["taken"] != nil {
		t.Errorf("%+v", p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := pipeline.NewBatch(otlp.Logs, logsOf("cart"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Consume(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	b.Release()
	e.unlock()
}
