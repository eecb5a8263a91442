package sending

import (
	"fmt"
	"time"

	"github.com/penstock-telemetry/penstock/config"
)

// CheckRetry returns an error for a section "retry_on_failure" that the Collector
// refuses: one that would give up before its first retry. Durations that are missing have
// the Collector's defaults.
func CheckRetry(section any) error {
	m, ok := section.(map[string]any)
	if !ok || m["enabled"] == false {
		return nil
	}
	duration := func(key string, normal time.Duration) (time.Duration, error) {
		text, ok := m[key].(string)
		if !ok {
			return normal, nil
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, config.Atf("retry_on_failure."+key, `expected a duration such as "5s", found %q`, text)
		}
		return d, nil
	}
	elapsed, err := duration("max_elapsed_time", 5*time.Minute)
	if m["max_elapsed_time"] == 0 {
		elapsed = 0
	}
	if err != nil || elapsed == 0 {
		return err
	}
	for _, other := range []struct {
		key    string
		normal time.Duration
	}{{"initial_interval", 5 * time.Second}, {"max_interval", 30 * time.Second}} {
		d, err := duration(other.key, other.normal)
		if err != nil {
			return err
		}
		if elapsed < d {
			return config.Atf("retry_on_failure.max_elapsed_time", "expected at least %s, which is %s, found %s", other.key, d, elapsed)
		}
	}
	return nil
}

// Ignored returns a warning for each key of a configuration that was given and
// has no effect, with its reason. A section that says enabled: false asks for
// nothing.
func Ignored(queue, retry any, others []string) (warnings []string) {
	const why = "has no effect yet: there is no queue, and a failure goes back to the sender"
	for _, section := range []struct {
		key   string
		value any
	}{{"sending_queue", queue}, {"retry_on_failure", retry}} {
		if asksForSomething(section.value) {
			warnings = append(warnings, fmt.Sprintf("%s %s", section.key, why))
		}
	}
	for _, key := range others {
		warnings = append(warnings, fmt.Sprintf("%s has no effect yet: requests are sent without it", key))
	}
	return warnings
}

func asksForSomething(section any) bool {
	m, ok := section.(map[string]any)
	return section != nil && (!ok || m["enabled"] != false)
}
