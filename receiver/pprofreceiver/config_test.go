package pprofreceiver

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/libpf"
)

func decode(t testing.TB, yaml string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, yaml, &cfg)
	return cfg, err
}

// describe tells what a configuration fetches, a line for each URL.
func describe(cfg Config) (lines []string) {
	sources, err := cfg.sources()
	if err != nil {
		return []string{err.Error()}
	}
	for _, s := range sources {
		for _, j := range s.jobs {
			line := fmt.Sprintf("%s %s every %s within %s", j.kind, j.url, s.interval, s.timeout(&j))
			if j.window {
				line += " as a window"
			}
			line += []string{"", " gauges only", " accumulating only"}[j.take]
			lines = append(lines, line)
		}
	}
	for _, g := range cfg.globs() {
		lines = append(lines, fmt.Sprintf("files %s every %s", g.pattern, g.interval))
	}
	return lines
}

func TestConfigurations(t *testing.T) {
	t.Parallel()
	const at = "http://localhost:6060/debug/pprof/"
	for name, c := range map[string]struct {
		yaml string
		want []string
	}{
		"one target": {`targets: [localhost:6060]`, []string{
			"cpu " + at + "profile?seconds=14 every 15s within 24s", "heap " + at + "heap every 15s within 10s",
			"goroutine " + at + "goroutine every 15s within 10s", "mutex " + at + "mutex every 15s within 10s",
			"block " + at + "block every 15s within 10s",
		}},
		"a list of profiles":   {`{targets: [localhost:6060], profiles: [heap, threadcreate]}`, []string{"heap " + at + "heap every 15s within 10s", "threadcreate " + at + "threadcreate every 15s within 10s"}},
		"allocs alone":         {`{targets: [localhost:6060], profiles: [allocs]}`, []string{"allocs " + at + "allocs every 15s within 10s accumulating only"}},
		"heap elsewhere":       {`{targets: [localhost:6060], profiles: {cpu: false, goroutine: {enabled: false}, mutex: false, block: false, heap: {path: h}}}`, []string{"heap " + at + "h every 15s within 10s gauges only", "allocs " + at + "allocs every 15s within 10s accumulating only"}},
		"settings of cpu":      {`{targets: [localhost:6060], collection_interval: 1m, profiles: {cpu: {seconds: 30}, heap: false, allocs: false, goroutine: false, mutex: false, block: false}}`, []string{"cpu " + at + "profile?seconds=30 every 1m0s within 40s"}},
		"a timeout":            {`{targets: [localhost:6060], timeout: 9s, profiles: [cpu]}`, []string{"cpu " + at + "profile?seconds=8 every 15s within 9s"}},
		"a long interval":      {`{targets: [localhost:6060], collection_interval: 10m, profiles: [cpu]}`, []string{"cpu " + at + "profile?seconds=60 every 10m0s within 1m10s"}},
		"a short interval":     {`{targets: [localhost:6060], collection_interval: 1s, profiles: [cpu]}`, []string{"cpu " + at + "profile?seconds=1 every 1s within 11s"}},
		"a map":                {`{targets: [{endpoint: "https://shop", path_prefix: /admin/, profiles: [mutex], collection_interval: 1m}]}`, []string{"mutex https://shop/admin/mutex every 1m0s within 10s"}},
		"a path in the URL":    {`{targets: ["http://shop:1/a/b/"], profiles: [mutex]}`, []string{"mutex http://shop:1/a/b/mutex every 15s within 10s"}},
		"a profile in the URL": {`targets: ["http://shop:1/debug/pprof/allocs"]`, []string{"allocs http://shop:1/debug/pprof/allocs every 15s within 10s accumulating only"}},
		"godeltaprof":          {`targets: ["http://shop:1/debug/pprof/delta_heap"]`, []string{"/debug/pprof/delta_heap http://shop:1/debug/pprof/delta_heap every 15s within 10s as a window"}},
		"godeltaprof by path": {`{targets: [localhost:6060], profiles: {cpu: false, goroutine: false, allocs: false, heap: {path: delta_heap}, mutex: {path: delta_mutex}, block: false}}`,
			[]string{"heap " + at + "delta_heap every 15s within 10s as a window", "mutex " + at + "delta_mutex every 15s within 10s as a window"}},
		"godeltaprof for both": {`{targets: [localhost:6060], profiles: {cpu: false, goroutine: false, heap: true, allocs: {path: delta_heap}, mutex: false, block: false}}`,
			[]string{"heap " + at + "heap every 15s within 10s gauges only", "allocs " + at + "delta_heap every 15s within 10s as a window accumulating only"}},
		"a delta":            {`targets: ["http://shop:1/debug/pprof/mutex?seconds=5"]`, []string{"mutex http://shop:1/debug/pprof/mutex?seconds=5 every 15s within 15s as a window"}},
		"no prefix":          {`{targets: [localhost:6060], profiles: [mutex], path_prefix: /}`, []string{"mutex http://localhost:6060/mutex every 15s within 10s"}},
		"the default prefix": {`{targets: [localhost:6060], profiles: [mutex], path_prefix: p}`, []string{"mutex http://localhost:6060/p/mutex every 15s within 10s"}},
		"files":              {`files: ["a/*.pb.gz", b]`, []string{"files a/*.pb.gz every 15s", "files b every 15s"}},

		"the Collector's remote": {`remote: {endpoint: "http://127.0.0.1:6060/debug/pprof/profile?seconds=5", collection_interval: 30s, initial_delay: 3s, timeout: 60s}`,
			[]string{"cpu http://127.0.0.1:6060/debug/pprof/profile?seconds=5 every 30s within 1m0s as a window"}},
		"the Collector's CPU default": {`remote: {endpoint: "http://127.0.0.1:6060/debug/pprof/profile"}`, []string{"cpu http://127.0.0.1:6060/debug/pprof/profile every 15s within 40s"}},
		"the Collector's file":        {`file: {include: "*.pprof", collection_interval: 5s}`, []string{"files *.pprof every 5s"}},
		"the Collector's first":       {`{endpoint: "http://shop:1/debug/pprof/heap", collection_interval: 5s}`, []string{"heap http://shop:1/debug/pprof/heap every 5s within 10s"}},
		"the Collector's first files": {`include: "*.pb.gz"`, []string{"files *.pb.gz every 15s"}},
		"self is off":                 {`{targets: [localhost:6060], profiles: [mutex], self: {enabled: false}}`, []string{"mutex " + at + "mutex every 15s within 10s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := decode(t, c.yaml)
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(cfg); !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if w := cfg.Warnings(); len(w) > 0 {
				t.Errorf("warnings %q", w)
			}
			// What print-config writes means the same.
			text, err := conf.Marshal(cfg)
			if err != nil {
				t.Fatal(err)
			}
			again, err := decode(t, string(text))
			if err != nil || !slices.Equal(describe(again), c.want) {
				t.Errorf("printed and read again: %v\n%s\n%s", err, strings.Join(describe(again), "\n"), text)
			}
		})
	}
}

func TestWrongConfigurations(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		`{}`:                          "nothing to fetch: expected targets",
		`targets: [localhost]`:        `targets: entry 1: target "localhost": expected host:port`,
		`targets: ["localhost:a"]`:    "targets: entry 1",
		`targets: ["u:p@host:1"]`:     "names a user",
		`targets: ["ftp://host"]`:     `unknown scheme "ftp"`,
		`targets: [{endpont: "a:1"}]`: `did you mean "endpoint"`,
		`targets: [{endpoint: "http://h/x", path_prefix: /y}]`:                 "expected no path_prefix beside it",
		`targets: [{endpoint: "http://h/debug/pprof/heap", profiles: [heap]}]`: "one profile already",
		`targets: [{endpoint: "h:1", collection_interval: 1ms}]`:               "expected at least 1s, found 1ms",
		`targets: [{endpoint: "h:1", profiles: []}]`:                           "expected at least one of cpu, heap",
		`{targets: ["h:1"], profiles: [haep]}`:                                 `unknown profile "haep", did you mean "heap"?`,
		`{targets: ["h:1"], profiles: {heap: {seconds: 3}}}`:                   "profiles.heap.seconds: expected seconds for cpu alone",
		`{targets: ["h:1"], profiles: {cpu: {seconds: 16}}}`:                   "expected no more than the collection_interval, 15s",
		`{targets: ["h:1"], profiles: {cpu: {seconds: -1}}}`:                   "expected 0 or more, found -1",
		`{targets: ["h:1"], profiles: {heap: {path: "a?b"}}}`:                  "expected a path",
		`{targets: ["h:1"], profiles: 3}`:                                      "expected a list of profiles",
		`{targets: ["h:1"], timeout: 5s, profiles: {cpu: {seconds: 5}}}`:       "the timeout is 5s, and cpu takes 5s to measure",
		`{targets: ["h:1"], timeout: 1s}`:                                      "the timeout is 1s, and cpu takes 1s to measure",
		`{targets: ["h:1"], timeout: -1s}`:                                     "timeout",
		`{targets: ["h:1"], collection_interval: 0s}`:                          "expected at least 1s, found 0s",
		`{targets: ["h:1"], initial_delay: -1s}`:                               "expected at least 0s, found -1s",
		`{targets: ["h:1"], max_profile_bytes: 10}`:                            "max_profile_bytes: expected 1024 to",
		`{targets: ["h:1"], max_concurrency: 0}`:                               "max_concurrency: expected 1 to",
		`{targets: ["h:1"], max_baseline_bytes: -1}`:                           "max_baseline_bytes: expected 0 to",
		`{targets: ["h:1"], count_from: birth}`:                                "expected first_fetch or process_start",
		`{targets: ["h:1"], self: {}}`:                                         "self is not supported",
		`{targets: ["h:1"], server: {endpoint: ":1"}}`:                         "server is not supported",
		`files: ["[a"]`:      "files: \"[a\" is not a pattern",
		`files: ["a/b**/c"]`: "expected ** to be a folder of its own",
		`remote: {}`:         "remote.endpoint: expected the URL of a profile",
		`targets: ["http://h/debug/pprof/goroutine?seconds=9"]`:                     "goroutine is what the process has at that moment: expected no seconds",
		`remote: {endpoint: "http://h/debug/pprof/profile?seconds=9", timeout: 9s}`: "remote.endpoint: the timeout is 9s",
		`remote: {endpoint: "http://h/x", tls: {min_version: "9"}}`:                 "remote.tls.min_version",
		`file: {}`: "file.include: expected a pattern",
		`{targets: ["h:1"], tls: {ca_file: a, ca_pem: b}}`: "tls.ca_pem",
	} {
		if _, err := decode(t, yaml); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", yaml, err, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	cfg, err := decode(t, `{targets: ["h:1"], auth: {authenticator: basicauth}, remote: {endpoint: "http://h/debug/pprof/heap", compression: gzip}}`)
	if want := []string{"auth: the credentials are sent without TLS", "remote.compression has no effect: there is nothing to send"}; err != nil || !slices.Equal(cfg.Warnings(), want) {
		t.Errorf("%v, got %q, want %q", err, cfg.Warnings(), want)
	}
}

// A Config that was not decoded is checked as well.
func TestNewChecks(t *testing.T) {
	t.Parallel()
	cfg := one("h:1", "heap")
	cfg.HTTP.TLS.MinVersion = "9"
	if _, err := NewEngine(cfg, settings(), &recorder{}); err == nil {
		t.Error("a wrong TLS version was taken")
	}
	cfg = one("h:1", "heaps")
	if _, err := New(cfg, settings()); err == nil {
		t.Error("an unknown profile was taken")
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	cfg, err := decode(t, `{targets: [localhost:6060, {endpoint: "https://[::1]", service_name: shop, attributes: {env: test, a: own}}], profiles: [heap], attributes: {a: all, server.address: mine}}`)
	if err != nil {
		t.Fatal(err)
	}
	sources, _ := cfg.sources()
	for i, want := range []libpf.Attributes{
		libpf.NewAttributes(libpf.StringAttr("service.instance.id", "localhost:6060"), libpf.StringAttr("server.address", "mine"),
			libpf.IntAttr("server.port", 6060), libpf.StringAttr("url.scheme", "http"), libpf.StringAttr("a", "all")),
		libpf.NewAttributes(libpf.StringAttr("service.instance.id", "[::1]:443"), libpf.StringAttr("server.address", "mine"),
			libpf.IntAttr("server.port", 443), libpf.StringAttr("url.scheme", "https"), libpf.StringAttr("a", "own"),
			libpf.StringAttr("env", "test"), libpf.StringAttr("service.name", "shop")),
	} {
		if got := sources[i].resource; got != want {
			t.Errorf("target %d: got %q, want %q", i, slices.Collect(got.All()), slices.Collect(want.All()))
		}
	}
}

// Programs behind one gateway are distinguished by the path of their profiles.
func TestResourcesOfOneGateway(t *testing.T) {
	t.Parallel()
	cfg, err := decode(t, `targets: [gateway:80, "http://gateway/cart/debug/pprof", "http://gateway/shop/debug/pprof/heap", {endpoint: "gateway:80", path_prefix: /debug/pprof/}]`)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := cfg.sources()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"gateway:80", "gateway:80/cart/debug/pprof", "gateway:80/shop/debug/pprof", "gateway:80"} {
		var got string
		for a := range sources[i].resource.All() {
			if a.Key == "service.instance.id" {
				got = string(a.Value[2:])
			}
		}
		if got != want {
			t.Errorf("target %d: service.instance.id %q, want %q", i, got, want)
		}
	}
}

func TestDefaultsAreNotShared(t *testing.T) {
	t.Parallel()
	a, b := DefaultConfig(), DefaultConfig()
	a.Profiles["cpu"] = Profile{}
	if maps.Equal(a.Profiles, b.Profiles) || b.CollectionInterval != 15*time.Second {
		t.Error("two configurations share their defaults")
	}
}
