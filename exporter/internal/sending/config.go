package sending

import "fmt"

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
