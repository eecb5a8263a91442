package sending

import (
	"fmt"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
)

// Ignored returns a warning for each key of a configuration that was given and
// has no effect, with its reason.
func Ignored(queue config.SendingQueue, others []string) (warnings []string) {
	if queue.Enabled && queue.Storage != "" && queue.WaitForResult != nil && *queue.WaitForResult {
		warnings = append(warnings, "sending_queue.wait_for_result has no effect with a storage: a request is acknowledged when it is on disk")
	}
	for _, key := range others {
		warnings = append(warnings, fmt.Sprintf("%s has no effect yet: requests are sent without it", key))
	}
	return warnings
}

// UseQueue sets what Queue returns. It is called after UseAuth and before Start.
func (e *Exporter) UseQueue(queue config.SendingQueue, retry config.Retry) {
	e.queue = &component.Queue{SendingQueue: queue, Retry: retry, Sender: attempts{e}, Observer: e.obs}
	if e.auth != nil {
		e.queue.Auth = e.auth.id
	}
}

// Queue implements component.Queued.
func (e *Exporter) Queue() *component.Queue { return e.queue }
