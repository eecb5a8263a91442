package fileexporter

import (
	"errors"
	"io/fs"
	"strconv"
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
	// Append continues a file that is there; else it is emptied. A file that is
	// rotated is always continued, as in the Collector.
	Append bool `yaml:"append"`
	// Rotation is nil for one file that grows.
	Rotation *Rotation `yaml:"rotation"`
	// FlushInterval is how long records may wait in memory for their way to the
	// file. 0, the default, writes each one before Consume returns.
	FlushInterval time.Duration `yaml:"flush_interval"`
	// Compression is "" or "zstd": each record for itself.
	Compression       string      `yaml:"compression"`
	CompressionParams Compression `yaml:"compression_params"`
	// CreateDirectory makes the directories above Path, with
	// DirectoryPermissions, octal digits.
	CreateDirectory      bool   `yaml:"create_directory"`
	DirectoryPermissions string `yaml:"directory_permissions"`

	// GroupBy and Encoding are the Collector's, and refused if they are used.
	GroupBy  GroupBy `yaml:"group_by"`
	Encoding string  `yaml:"encoding"`
}

// Rotation says when a file is full and how long full ones stay.
type Rotation struct {
	// MaxMegabytes is the size, in 2^20 bytes, that a file may reach; 0 is 100.
	// A record that is larger than that gets a file for itself.
	MaxMegabytes int `yaml:"max_megabytes"`
	// MaxDays is the age at which full files are deleted, in days of 24 hours by
	// the time in their name; 0 is never.
	MaxDays int `yaml:"max_days"`
	// MaxBackups is the number of full files that stay; 0 is all.
	MaxBackups int `yaml:"max_backups"`
	// LocalTime puts local time in their names, else UTC.
	LocalTime bool `yaml:"localtime"`
}

// SetDefaults sets what a section without keys means.
func (r *Rotation) SetDefaults() { *r = Rotation{MaxMegabytes: 100, MaxBackups: 100} }

// Compression has the level for zstd, as the zstd command counts; 0 is its
// default, 3.
type Compression struct {
	Level int `yaml:"level"`
}

// GroupBy is the Collector's way to a file for each value of an attribute.
type GroupBy struct {
	Enabled           bool   `yaml:"enabled"`
	ResourceAttribute string `yaml:"resource_attribute"`
	MaxOpenFiles      int    `yaml:"max_open_files"`
}

const (
	formatJSON      = "json"
	formatProto     = "proto"
	compressionZstd = "zstd"
	maxZstdLevel    = 22
	directoryMode   = "0755"
)

// DefaultConfig returns the Collector's defaults, but for flush_interval: there
// it is a second, here nothing waits unless it is asked to.
func DefaultConfig() Config { return Config{Format: formatJSON} }

// Validate checks the configuration without looking at any file.
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
	if c.FlushInterval < 0 {
		fail("flush_interval", "%s is negative", c.FlushInterval)
	}
	if c.GroupBy.Enabled {
		fail("group_by", "group_by is not supported; expected one exporter for each file")
	}
	if c.Encoding != "" {
		fail("encoding", `encoding extensions are not supported; expected format: json or proto`)
	}
	if _, err := c.directoryMode(); err != nil {
		errs = append(errs, config.At("directory_permissions", err))
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
	if text != "" && !c.CreateDirectory {
		return 0, errors.New("directory_permissions need create_directory: true")
	}
	if text == "" {
		text = directoryMode
	}
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
