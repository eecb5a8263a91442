package config_test

import (
	"fmt"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	const prefix = "retry_on_failure.max_elapsed_time: "
	for yaml, want := range map[string]string{
		"{}":                     "<nil>",
		"{retry_on_failure: }":   "<nil>",
		"{retry_on_failure: {}}": "<nil>",
		"{retry_on_failure: {max_elapsed_time: 0}}":                                           "<nil>",
		"{retry_on_failure: {max_elapsed_time: 0s}}":                                          "<nil>",
		"{retry_on_failure: {enabled: false, max_elapsed_time: 1s}}":                          "<nil>",
		"{retry_on_failure: {max_elapsed_time: 30s}}":                                         "<nil>",
		"{retry_on_failure: {max_elapsed_time: 1s, max_interval: 1s}}":                        prefix + "expected at least initial_interval, which is 5s, found 1s",
		"{retry_on_failure: {initial_interval: 1s, max_elapsed_time: 10s}}":                   prefix + "expected at least max_interval, which is 30s, found 10s",
		"{retry_on_failure: {initial_interval: 1m, max_interval: 1s, max_elapsed_time: 50s}}": prefix + "expected at least initial_interval, which is 1m0s, found 50s",
		"{retry_on_failure: {max_interval: 10m}}":                                             prefix + "expected at least max_interval, which is 10m0s, found 5m0s",
		"{retry_on_failure: {randomization_factor: 2}}":                                       "retry_on_failure.randomization_factor: expected 0 to 1, found 2",
		"{retry_on_failure: {initial_interval: -1s}}":                                         "retry_on_failure.initial_interval: expected 0s or more, found -1s",
		"{retry_on_failure: {initial_interval: soon}}":                                        `retry_on_failure.initial_interval: expected a duration such as "5s", found "soon" (string)`,
	} {
		section := struct {
			Retry config.Retry `yaml:"retry_on_failure"`
		}{config.DefaultRetry()}
		if got := withoutPlace(testkit.Decode(t, yaml, &section)); got != withoutPlace(fmt.Errorf("%s", want)) {
			t.Errorf("%s: got %s, want %s", yaml, got, want)
		}
	}
}

func TestSendingQueue(t *testing.T) {
	t.Parallel()
	size := int64(7)
	for yaml, want := range map[string]config.SendingQueue{
		"{}":                    config.DefaultSendingQueue(),
		"{q: {enabled: false}}": {NumConsumers: 10, Sizer: "requests"},
		"{q: }":                 config.DefaultSendingQueue(),
		"{q: {storage: s}}":     {Enabled: true, NumConsumers: 10, Sizer: "requests", Storage: "s"},
		"{q: {queue_size: 7, sizer: items, block_on_overflow: true, num_consumers: 3}}": {Enabled: true, NumConsumers: 3, Sizer: "items", QueueSize: &size, BlockOnOverflow: true},
		"{q: {batch: {}}}": {Enabled: true, NumConsumers: 10, Sizer: "requests", Batch: &config.QueueBatch{FlushTimeout: 200 * time.Millisecond, MinSize: 8192, Sizer: "items"}},
		"{q: {batch: {min_size: 10, max_size: 20, sizer: bytes, flush_timeout: 1s, partition: {metadata_keys: [a]}}}}": {Enabled: true, NumConsumers: 10, Sizer: "requests",
			Batch: &config.QueueBatch{FlushTimeout: time.Second, MinSize: 10, MaxSize: 20, Sizer: "bytes", Partition: config.QueuePartition{MetadataKeys: []string{"a"}}}},
	} {
		var section struct {
			Q config.SendingQueue `yaml:"q"`
		}
		section.Q = config.DefaultSendingQueue()
		if err := testkit.Decode(t, yaml, &section); err != nil || !reflect.DeepEqual(section.Q, want) {
			t.Errorf("%s: got %+v, %v, want %+v", yaml, section.Q, err, want)
		}
	}
	for yaml, want := range map[string]string{
		"{q: {num_consumers: 0}}":                      "q.num_consumers: expected 1 or more, found 0",
		"{q: {queue_size: 0}}":                         "q.queue_size: expected 1 or more, found 0",
		"{q: {sizer: apples}}":                         `q.sizer: expected one of ["requests" "items" "bytes"], found "apples"`,
		"{q: {batch: {sizer: requests}}}":              `q.batch.sizer: expected one of ["items" "bytes"], found "requests"`,
		"{q: {batch: {flush_timeout: 0}}}":             "q.batch.flush_timeout: expected more than 0, found 0s",
		"{q: {batch: {min_size: 30, max_size: 20}}}":   "q.batch.max_size: expected at least min_size, which is 30, found 20",
		"{q: {enabled: false, batch: {min_size: -1}}}": "<nil>",
	} {
		var section struct {
			Q config.SendingQueue `yaml:"q"`
		}
		section.Q = config.DefaultSendingQueue()
		if got := withoutPlace(testkit.Decode(t, yaml, &section)); got != want {
			t.Errorf("%s: got %s, want %s", yaml, got, want)
		}
	}
}

var place = regexp.MustCompile(`^(\S*:)?\d+:\d+: `)

// withoutPlace is the text of an error behind its place in the file.
func withoutPlace(err error) string { return place.ReplaceAllString(fmt.Sprint(err), "") }
