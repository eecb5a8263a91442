package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memory measures the peak memory of this process, less its memory at the
// beginning: the kernel's high-water mark of the resident size, or the live heap.
//
// The live heap is the heap after a collection. Measuring it needs continuous
// collections, which would change every other figure.
type memory struct {
	kind  kind
	first int64
	peak  int64
	done  chan struct{}
	wg    sync.WaitGroup
}

const collectEvery = 5 * time.Millisecond

// watchMemory starts the measurement if k is a kind for memory.
func watchMemory(k kind) (m *memory, err error) {
	m = &memory{kind: k, done: make(chan struct{})}
	switch k {
	case kindResident:
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			return nil, fmt.Errorf("reset the high-water mark of the resident size: %w", err)
		}
		m.first, err = status("VmRSS")
	case kindLive:
		runtime.GC()
		m.first = liveHeap()
		m.wg.Go(m.collect)
	}
	return m, err
}

func (m *memory) collect() {
	for {
		select {
		case <-m.done:
			return
		case <-time.After(collectEvery):
			runtime.GC()
			m.peak = max(m.peak, liveHeap())
		}
	}
}

// stop returns the peak, less the memory at the beginning.
func (m *memory) stop() (peak int64, err error) {
	close(m.done)
	m.wg.Wait()
	if m.kind == kindResident {
		m.peak, err = status("VmHWM")
	}
	return m.peak - m.first, err
}

// liveHeap returns the size of the heap after the last collection.
func liveHeap() int64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

var errNoStatus = errors.New("not in /proc/self/status")

// status returns a size of /proc/self/status, in bytes.
func status(name string) (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("%s: %w", name, errNoStatus)
}
