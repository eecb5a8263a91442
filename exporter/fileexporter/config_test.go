package fileexporter

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func decode(t *testing.T, text string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, text, &cfg)
	return cfg, err
}

func TestConfigOfTheCollectorIsRead(t *testing.T) {
	t.Parallel()
	cfg, err := decode(t, `
path: ./foo
format: proto
append: true
flush_interval: 5s
compression: zstd
compression_params: {level: 6}
create_directory: true
directory_permissions: "0700"
group_by: {enabled: false, resource_attribute: x, max_open_files: 3}
rotation: {max_megabytes: 10, max_days: 3, max_backups: 3, localtime: true}
`)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Path != "./foo" || !cfg.Append || cfg.FlushInterval != 5*time.Second || *cfg.Rotation != (Rotation{10, 3, 3, true}) {
		t.Errorf("%+v", cfg)
	}
	for text, want := range map[string]*Rotation{
		"{path: x, format: proto}":                               nil,
		"{path: x, format: proto, rotation: }":                   {MaxMegabytes: 100, MaxBackups: 100},
		"{path: x, format: proto, rotation: {max_days: 1}}":      {MaxMegabytes: 100, MaxDays: 1, MaxBackups: 100},
		"{path: x, format: proto, rotation: {max_megabytes: 0}}": {MaxBackups: 100},
	} {
		cfg, err := decode(t, text)
		if err != nil || (cfg.Rotation == nil) != (want == nil) || want != nil && *cfg.Rotation != *want {
			t.Errorf("%s: %+v, %v", text, cfg.Rotation, err)
		}
	}
	if n := (&Rotation{}).maxFileBytes(); n != 100<<20 {
		t.Errorf("max_megabytes: 0 is %d bytes", n)
	}
}

func TestConfigErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{format: proto}`:                                                                 "path: the path of the file to write is missing",
		`{path: x, format: xml}`:                                                          `unknown format "xml"`,
		`{path: x, format: proto, compression: gzip}`:                                     `unknown compression "gzip"`,
		`{path: x, format: proto, acknowledge: sent}`:                                     `unknown value "sent"`,
		`{path: x, format: proto, flush_interval: -1s}`:                                   "flush_interval: -1s is negative",
		`{path: x, format: proto, encoding: otlp}`:                                        `encoding: found "otlp", but penstock has no extension that encodes`,
		`{path: x, group_by: {enabled: true}}`:                                            `path: with group_by expected one "*"`,
		`{path: "*x", group_by: {enabled: true}}`:                                         `found "*x"`,
		`{path: "x/*/*", group_by: {enabled: true}}`:                                      `found "x/*/*"`,
		`{path: "x*", group_by: {enabled: true, resource_attribute: ""}}`:                 "group_by.resource_attribute: expected",
		`{path: "x*", group_by: {enabled: true, max_open_files: 0}}`:                      "group_by.max_open_files: expected 1 or more",
		`{path: x, format: proto, rotation: {max_days: -1}}`:                              "-1 is negative",
		`{path: x, format: proto, directory_permissions: "0755"}`:                         "need create_directory",
		`{path: x, format: proto, create_directory: true, directory_permissions: "0855"}`: "in octal digits",
		`{path: x, format: proto, compression_params: {level: 23}}`:                       "level 23 is not between",
	} {
		cfg, err := decode(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, expected %q", text, err, want)
		}
		if _, err := New(cfg, component.Settings{}); err == nil {
			t.Errorf("New with %s passed", text)
		}
	}
}

func TestFlushIntervalWithoutEffect(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{path: x}`:                                            "",
		`{path: x, flush_interval: 0s}`:                        "",
		`{path: x, flush_interval: 1s}`:                        "flush_interval has no effect with acknowledge: written",
		`{path: x, flush_interval: 1s, acknowledge: synced}`:   "flush_interval has no effect with acknowledge: synced: a request is acknowledged when it is synced",
		`{path: x, flush_interval: 1s, acknowledge: buffered}`: "",
	} {
		cfg, err := decode(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(cfg.Warnings(), "\n"); (got != "") != (want != "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
