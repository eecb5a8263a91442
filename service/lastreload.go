package service

import (
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// lastReload is what became of the last reload.
type lastReload struct {
	mu     sync.Mutex
	result component.ReloadStatus
	read   load.Read // also of New
}

func (r *lastReload) note(at time.Time, read load.Read, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read, r.result = read, component.ReloadStatus{Time: at}
	if err != nil {
		r.result.Error = err.Error()
	}
}

// lastRead returns what the last reload has read, and whether it failed.
func (r *lastReload) lastRead() (read load.Read, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read, r.result.Error != ""
}

func (r *lastReload) status() component.ReloadStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result
}
