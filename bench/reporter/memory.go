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

// memory watches what this process takes beyond what it took at the beginning.
//
// The live heap is what a collection leaves over. It is sampled by collecting all
// the time, which does not change what is live; the resident size is taken in the
// same run, so it has little garbage in it.
type memory struct {
	rss0, live0 int64
	peak        int64
	done        chan struct{}
	wg          sync.WaitGroup
}

const sampleEvery = 5 * time.Millisecond

// watchMemory begins. Without sampling, stop returns zeros.
func watchMemory(sampling bool) (*memory, error) {
	m := &memory{done: make(chan struct{})}
	if !sampling {
		return m, nil
	}
	runtime.GC()
	m.live0 = liveHeap()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return nil, fmt.Errorf("reset the high-water mark of the resident size: %w", err)
	}
	var err error
	if m.rss0, err = status("VmRSS"); err != nil {
		return nil, err
	}
	m.wg.Go(func() {
		for {
			select {
			case <-m.done:
				return
			case <-time.After(sampleEvery):
				runtime.GC()
				m.peak = max(m.peak, liveHeap()-m.live0)
			}
		}
	})
	return m, nil
}

// stop returns the peaks of the live heap and of the resident size, over what
// they were at first.
func (m *memory) stop() (live, rss int64, err error) {
	close(m.done)
	m.wg.Wait()
	if m.live0 == 0 {
		return 0, 0, nil
	}
	high, err := status("VmHWM")
	return m.peak, high - m.rss0, err
}

// liveHeap is what the last collection left over.
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
