package config

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// One handshake for each interval reads the files, and the others do not wait.
func TestReloadedReadsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		enter, leave := make(chan struct{}), make(chan struct{})
		r := &reloaded[int64]{every: time.Minute, read: func() (*int64, error) {
			n := reads.Add(1)
			if n > 1 {
				close(enter)
				<-leave
			}
			return &n, nil
		}}
		if err := r.load(); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			r.get()
		}
		time.Sleep(time.Minute)
		go r.get()
		<-enter
		for range 100 {
			if got := *r.get(); got != 1 {
				t.Errorf("while another reads: %d, want the old one", got)
			}
		}
		close(leave)
		synctest.Wait()
		for range 100 {
			if got := *r.get(); got != 2 {
				t.Errorf("after: %d, want the new one", got)
			}
		}
		if reads.Load() != 2 {
			t.Errorf("read %d times", reads.Load())
		}
	})
}
