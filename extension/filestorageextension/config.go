package filestorageextension

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/penstock-telemetry/penstock/config"
)

// Config is the extension's section of a configuration, with the keys of the
// OpenTelemetry Collector. Start from DefaultConfig.
type Config struct {
	// Directory is relative to the working directory.
	Directory string `yaml:"directory"`
	// CreateDirectory creates it and the directories above, with
	// DirectoryPermissions in octal digits, minus the umask.
	CreateDirectory      bool   `yaml:"create_directory"`
	DirectoryPermissions string `yaml:"directory_permissions"`
	// MaxSize bounds what is kept in the directory, in bytes; 0 means the default of
	// the journal. In the Collector it bounds each file.
	MaxSize int64 `yaml:"max_size"`
	// FSync has no effect if it is false: a record is acknowledged when the disk has
	// it.
	FSync bool `yaml:"fsync"`

	Timeout    config.Ignored `yaml:"timeout,omitempty"`
	Recreate   config.Ignored `yaml:"recreate,omitempty"`
	Compaction Compaction     `yaml:"compaction,omitempty"`
}

// Compaction has keys of the Collector without effect: a journal removes the files whose
// records were delivered.
type Compaction struct {
	Directory                  config.Ignored `yaml:"directory,omitempty"`
	OnStart                    config.Ignored `yaml:"on_start,omitempty"`
	OnRebound                  config.Ignored `yaml:"on_rebound,omitempty"`
	MaxTransactionSize         config.Ignored `yaml:"max_transaction_size,omitempty"`
	ReboundNeededThresholdMiB  config.Ignored `yaml:"rebound_needed_threshold_mib,omitempty"`
	ReboundTriggerThresholdMiB config.Ignored `yaml:"rebound_trigger_threshold_mib,omitempty"`
	CheckInterval              config.Ignored `yaml:"check_interval,omitempty"`
	CleanupOnStart             config.Ignored `yaml:"cleanup_on_start,omitempty"`
}

func (c *Compaction) written() bool {
	return c.Directory.Written() || c.OnStart.Written() || c.OnRebound.Written() || c.MaxTransactionSize.Written() ||
		c.ReboundNeededThresholdMiB.Written() || c.ReboundTriggerThresholdMiB.Written() || c.CheckInterval.Written() || c.CleanupOnStart.Written()
}

// directoryMode is for queues, which have data of users. The Collector has 0750.
const directoryMode = "0700"

// DefaultConfig returns the Collector's directory. Unlike there it is created.
func DefaultConfig() Config {
	return Config{Directory: defaultDirectory(), CreateDirectory: true, DirectoryPermissions: directoryMode, FSync: true}
}

func defaultDirectory() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "Otelcol", "FileStorage")
	}
	return "/var/lib/otelcol/file_storage"
}

// Validate checks the section without accessing files.
func (c *Config) Validate() error {
	var errs []error
	if c.Directory == "" {
		errs = append(errs, config.Atf("directory", "the path of the directory is missing"))
	}
	if c.MaxSize < 0 {
		errs = append(errs, config.Atf("max_size", "expected 0 or more bytes, found %d", c.MaxSize))
	}
	if _, err := c.mode(); err != nil {
		errs = append(errs, config.At("directory_permissions", err))
	}
	return errors.Join(errs...)
}

func (c *Config) mode() (fs.FileMode, error) {
	text := cmp.Or(c.DirectoryPermissions, directoryMode)
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || fs.FileMode(mode)&^fs.ModePerm != 0 {
		return 0, errors.New(`expected permissions in octal digits such as "0700", found ` + strconv.Quote(text))
	}
	return fs.FileMode(mode), nil
}

// Warnings returns the settings that have no effect.
func (c *Config) Warnings() []string {
	var all []string
	if !c.FSync {
		all = append(all, "fsync: false has no effect: what is acknowledged is on the disk; records that wait at the same time share a sync")
	}
	if c.Timeout.Written() {
		all = append(all, "timeout has no effect: a directory that another process uses is an error immediately")
	}
	if c.Recreate.Written() {
		all = append(all, "recreate has no effect: damaged files are kept aside, what is not damaged in them is delivered, and new ones are written")
	}
	if c.Compaction.written() {
		all = append(all, "compaction has no effect: files whose records were delivered are removed")
	}
	return all
}
