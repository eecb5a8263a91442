package frontend

import "sync"

// maxOnce bounds how many clients a Once remembers.
const maxOnce = 1024

// Once remembers clients for which something was logged. The zero value knows none.
type Once struct {
	mu      sync.Mutex
	clients map[string]bool
}

// First reports whether the client is new. When there are too many it is false: what
// happens is counted anyway.
func (o *Once) First(client string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.clients[client] || len(o.clients) >= maxOnce {
		return false
	}
	if o.clients == nil {
		o.clients = map[string]bool{}
	}
	o.clients[client] = true
	return true
}
