package config

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// SendingQueue is the section "sending_queue" of an exporter, with the Collector's keys.
type SendingQueue struct {
	// Enabled false sends each request once, while its sender waits.
	Enabled bool `yaml:"enabled"`
	// NumConsumers is how many requests are sent at a time at most.
	NumConsumers int `yaml:"num_consumers"`
	// QueueSize bounds what waits, in units of Sizer: requests, items or bytes. nil: the
	// bound of the storage alone.
	QueueSize *int64 `yaml:"queue_size"`
	Sizer     string `yaml:"sizer"`
	// BlockOnOverflow lets a request wait for room instead of refusing it.
	BlockOnOverflow bool `yaml:"block_on_overflow"`
	// WaitForResult true makes the sender wait for the answer of the destination, false
	// does not even if the queue is in memory. nil: the sender waits if the queue is in
	// memory.
	WaitForResult *bool `yaml:"wait_for_result"`
	// Storage is the id of an extension that names the folder of the queue. Empty: the
	// data directory of the process, or memory.
	Storage string      `yaml:"storage"`
	Batch   *QueueBatch `yaml:"batch" config:"section"`
	// IdempotencyKey sends an id with each request, as the header idempotency-key, which
	// is the same when the same request is sent again. The Collector does not have it.
	IdempotencyKey bool `yaml:"idempotency_key"`
}

// QueueBatch says how requests that wait are merged.
type QueueBatch struct {
	// FlushTimeout is how long a request waits for MinSize.
	FlushTimeout time.Duration `yaml:"flush_timeout"`
	// MinSize and MaxSize are in units of Sizer: items or bytes. 0: no bound.
	MinSize   int64          `yaml:"min_size"`
	MaxSize   int64          `yaml:"max_size"`
	Sizer     string         `yaml:"sizer"`
	Partition QueuePartition `yaml:"partition"`
}

// QueuePartition lists the metadata of clients whose requests are not merged with others.
type QueuePartition struct {
	MetadataKeys []string `yaml:"metadata_keys"`
}

// DefaultSendingQueue returns the defaults.
func DefaultSendingQueue() SendingQueue {
	return SendingQueue{Enabled: true, NumConsumers: 10, Sizer: "requests"}
}

// SetDefaults implements Defaulter.
func (b *QueueBatch) SetDefaults() {
	*b = QueueBatch{FlushTimeout: 200 * time.Millisecond, MinSize: 8192, Sizer: "items"}
}

// Validate implements Validator.
func (q SendingQueue) Validate() error {
	if !q.Enabled {
		return nil
	}
	var problems []error
	if q.NumConsumers <= 0 {
		problems = append(problems, Atf("num_consumers", "expected 1 or more, found %d", q.NumConsumers))
	}
	if q.QueueSize != nil && *q.QueueSize <= 0 {
		problems = append(problems, Atf("queue_size", "expected 1 or more, found %d", *q.QueueSize))
	}
	problems = append(problems, oneOf("sizer", q.Sizer, "requests", "items", "bytes"))
	if q.Batch != nil {
		problems = append(problems, At("batch", q.Batch.validate()))
	}
	return errors.Join(problems...)
}

// validate is not a Validator: what is in a queue that is not enabled does not matter.
func (b QueueBatch) validate() error {
	problems := []error{oneOf("sizer", b.Sizer, "items", "bytes")}
	if b.FlushTimeout <= 0 {
		problems = append(problems, Atf("flush_timeout", "expected more than 0, found %s", b.FlushTimeout))
	}
	for _, size := range []struct {
		key   string
		value int64
	}{{"min_size", b.MinSize}, {"max_size", b.MaxSize}} {
		if size.value < 0 {
			problems = append(problems, Atf(size.key, "expected 0 or more, found %d", size.value))
		}
	}
	if b.MaxSize > 0 && b.MaxSize < b.MinSize {
		problems = append(problems, Atf("max_size", "expected at least min_size, which is %d, found %d", b.MinSize, b.MaxSize))
	}
	return errors.Join(problems...)
}

func oneOf(key, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return At(key, fmt.Errorf("expected one of %q, found %q", known, value))
}

// Retry is the section "retry_on_failure" of an exporter, with the Collector's keys and
// defaults, except that it has no end by itself.
type Retry struct {
	Enabled             bool          `yaml:"enabled"`
	InitialInterval     time.Duration `yaml:"initial_interval"`
	RandomizationFactor float64       `yaml:"randomization_factor"`
	Multiplier          float64       `yaml:"multiplier"`
	MaxInterval         time.Duration `yaml:"max_interval"`
	// MaxElapsedTime is how long a request is tried. 0: forever. nil: it is not written,
	// which is forever here and five minutes in the Collector.
	MaxElapsedTime *time.Duration `yaml:"max_elapsed_time"`
}

// DefaultRetry returns the defaults.
func DefaultRetry() Retry {
	return Retry{Enabled: true, InitialInterval: 5 * time.Second, RandomizationFactor: 0.5, Multiplier: 1.5, MaxInterval: 30 * time.Second}
}

// collectorsMaxElapsed is the Collector's default of max_elapsed_time.
const collectorsMaxElapsed = 5 * time.Minute

// Validate implements Validator. It refuses what the Collector refuses.
func (r Retry) Validate() error {
	if !r.Enabled {
		return nil
	}
	elapsed := collectorsMaxElapsed
	if r.MaxElapsedTime != nil {
		elapsed = *r.MaxElapsedTime
	}
	var problems []error
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"initial_interval", r.InitialInterval}, {"max_interval", r.MaxInterval}, {"max_elapsed_time", elapsed}} {
		if d.value < 0 {
			problems = append(problems, Atf(d.key, "expected 0s or more, found %s", d.value))
		} else if elapsed > 0 && elapsed < d.value {
			problems = append(problems, Atf("max_elapsed_time", "expected at least %s, which is %s, found %s", d.key, d.value, elapsed))
		}
	}
	if r.RandomizationFactor < 0 || r.RandomizationFactor > 1 {
		problems = append(problems, Atf("randomization_factor", "expected 0 to 1, found %v", r.RandomizationFactor))
	}
	if r.Multiplier < 0 {
		problems = append(problems, Atf("multiplier", "expected 0 or more, found %v", r.Multiplier))
	}
	return errors.Join(problems...)
}
