package fileexporter

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/penstock-telemetry/penstock/config"
)

// Config is the exporter's configuration, with the Collector's keys.
type Config struct {
	// Path is relative to the working directory.
	Path string `yaml:"path"`
	// Format is "json" or "proto".
	Format string `yaml:"format"`
	// Append appends to an existing file; otherwise the file is truncated at
	// the start. With rotation it is always appended to, as in the Collector.
	Append bool `yaml:"append"`
	// Rotation is nil for a single file that is not rotated.
	Rotation *Rotation `yaml:"rotation"`
	// Acknowledge is when Consume returns nil: when the record is "written", the
	// default, "synced" or "buffered".
	Acknowledge string `yaml:"acknowledge"`
	// FlushInterval is how long records may be buffered in memory with Acknowledge
	// buffered; 0 means a second. Otherwise it has no effect.
	FlushInterval time.Duration `yaml:"flush_interval"`
	// Compression is "" or "zstd". Each record is compressed separately.
	Compression       string      `yaml:"compression"`
	CompressionParams Compression `yaml:"compression_params"`
	// CreateDirectory creates the directories above Path, with
	// DirectoryPermissions in octal digits.
	CreateDirectory      bool   `yaml:"create_directory"`
	DirectoryPermissions string `yaml:"directory_permissions"`
	// FilePermissions of files that are created, in octal digits; empty means 0644.
	FilePermissions string `yaml:"file_permissions"`

	// GroupBy writes a file for each value of an attribute of resources.
	GroupBy GroupBy `yaml:"group_by"`
	// Encoding is a key of the Collector, the id of an extension of a kind that penstock
	// does not have; using it is an error.
	Encoding string `yaml:"encoding"`
}

// Rotation configures when a file is full and how long full files are kept.
type Rotation struct {
	// MaxMegabytes is the maximum size of a file, in 2^20 bytes; 0 means 100. A
	// larger record gets a file of its own.
	MaxMegabytes int `yaml:"max_megabytes"`
	// MaxDays is the age at which full files are deleted, in days of 24 hours
	// since the time in their name; 0 means never.
	MaxDays int `yaml:"max_days"`
	// MaxBackups is the maximum number of full files that are kept; 0 means
	// all.
	MaxBackups int `yaml:"max_backups"`
	// LocalTime selects local time for their names instead of UTC.
	LocalTime bool `yaml:"localtime"`
}

// SetDefaults sets the values of an empty section.
func (r *Rotation) SetDefaults() { *r = Rotation{MaxMegabytes: 100, MaxBackups: 100} }

// Compression has the level for zstd, as in the zstd command; 0 means its
// default, 3.
type Compression struct {
	Level int `yaml:"level"`
}

// GroupBy says how a request is split into files. Path then has one "*", in the place
// of which the value stands.
type GroupBy struct {
	Enabled bool `yaml:"enabled"`
	// ResourceAttribute is the attribute whose value, a string, names the file. It may
	// have several names with "/" between them, for directories below that of Path;
	// they are created. Resources without it are rejected.
	ResourceAttribute string `yaml:"resource_attribute"`
	// MaxOpenFiles is how many files are open at a time.
	MaxOpenFiles int `yaml:"max_open_files"`
}

func (g *GroupBy) validate(path string) error {
	if !g.Enabled {
		return nil
	}
	var errs []error
	if strings.Count(path, "*") != 1 || path[0] == '*' {
		errs = append(errs, config.Atf("path", `with group_by expected one "*", which is not at the beginning, such as "logs/*.json", found %q`, path))
	}
	if g.ResourceAttribute == "" {
		errs = append(errs, config.Atf("group_by.resource_attribute", "expected the name of an attribute"))
	}
	if g.MaxOpenFiles < 1 {
		errs = append(errs, config.Atf("group_by.max_open_files", "expected 1 or more, found %d", g.MaxOpenFiles))
	}
	return errors.Join(errs...)
}

const (
	// The operating system has the record: it survives the end of the process.
	acknowledgeWritten = "written"
	// The disk has it: it survives the end of the machine.
	acknowledgeSynced = "synced"
	// The memory of the process has it.
	acknowledgeBuffered = "buffered"

	defaultFlushInterval = time.Second

	formatJSON      = "json"
	formatProto     = "proto"
	compressionZstd = "zstd"
	maxZstdLevel    = 22
	directoryMode   = "0755"
	defaultFileMode = 0o644 // as in the Collector
)

// DefaultConfig returns the Collector's defaults, except that records are written
// before they are acknowledged.
func DefaultConfig() Config {
	return Config{Format: formatJSON, Acknowledge: acknowledgeWritten, GroupBy: GroupBy{ResourceAttribute: "fileexporter.path_segment", MaxOpenFiles: 100}}
}

// Warnings returns the settings that have no effect.
func (c *Config) Warnings() []string {
	if c.FlushInterval > 0 && !c.buffered() {
		return []string{fmt.Sprintf("flush_interval has no effect with acknowledge: %s: a request is acknowledged when it is %[1]s, and requests do not wait for others", cmp.Or(c.Acknowledge, acknowledgeWritten))}
	}
	return nil
}

func (c *Config) buffered() bool { return c.Acknowledge == acknowledgeBuffered }

// Validate checks the configuration without accessing files.
func (c *Config) Validate() error {
	var errs []error
	fail := func(key, format string, args ...any) { errs = append(errs, config.Atf(key, format, args...)) }
	if c.Path == "" {
		fail("path", "the path of the file to write is missing")
	}
	switch c.Format {
	case formatProto, formatJSON:
	default:
		fail("format", `unknown format %q, expected "json" or "proto"`, c.Format)
	}
	if c.Compression != "" && c.Compression != compressionZstd {
		fail("compression", `unknown compression %q, expected "zstd" or none`, c.Compression)
	}
	if l := c.CompressionParams.Level; l < 0 || l > maxZstdLevel {
		fail("compression_params.level", "level %d is not between 1 and %d", l, maxZstdLevel)
	}
	switch c.Acknowledge {
	case acknowledgeWritten, acknowledgeSynced, acknowledgeBuffered, "":
	default:
		fail("acknowledge", `unknown value %q, expected "written", "synced" or "buffered"`, c.Acknowledge)
	}
	if c.FlushInterval < 0 {
		fail("flush_interval", "%s is negative", c.FlushInterval)
	}
	if c.Path != "" {
		errs = append(errs, c.GroupBy.validate(c.Path))
	}
	if c.Encoding != "" {
		fail("encoding", "found %q, but penstock has no extension that encodes; expected format: json or proto instead", c.Encoding)
	}
	if _, err := c.directoryMode(); err != nil {
		errs = append(errs, config.At("directory_permissions", err))
	}
	if _, err := c.fileMode(); err != nil {
		errs = append(errs, config.At("file_permissions", err))
	}
	return errors.Join(errs...)
}

// Validate checks that no number is negative.
func (r *Rotation) Validate() error {
	var errs []error
	for _, n := range []struct {
		key   string
		value int
	}{{"max_megabytes", r.MaxMegabytes}, {"max_days", r.MaxDays}, {"max_backups", r.MaxBackups}} {
		if n.value < 0 {
			errs = append(errs, config.Atf(n.key, "%d is negative", n.value))
		}
	}
	return errors.Join(errs...)
}

func (r *Rotation) maxFileBytes() int64 {
	if r.MaxMegabytes == 0 {
		return 100 << 20
	}
	return int64(r.MaxMegabytes) << 20
}

func (c *Config) directoryMode() (fs.FileMode, error) {
	text := c.DirectoryPermissions
	if text != "" && !c.CreateDirectory && !c.GroupBy.Enabled {
		return 0, errors.New("directory_permissions need create_directory: true")
	}
	if text == "" {
		text = directoryMode
	}
	return permissions(text)
}

func (c *Config) fileMode() (fs.FileMode, error) {
	if c.FilePermissions == "" {
		return defaultFileMode, nil
	}
	return permissions(c.FilePermissions)
}

func permissions(text string) (fs.FileMode, error) {
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || fs.FileMode(mode)&^fs.ModePerm != 0 {
		return 0, errors.New(`expected permissions in octal digits such as "0755", found ` + strconv.Quote(text))
	}
	return fs.FileMode(mode), nil
}

func (c *Config) zstdLevel() zstd.EncoderLevel {
	if c.CompressionParams.Level == 0 {
		return zstd.SpeedDefault
	}
	return zstd.EncoderLevelFromZstd(c.CompressionParams.Level)
}
