package pipeline

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// part is a component that writes down what happens to it.
type part struct {
	name                    string
	events                  *[]string
	failStart, failShutdown error
	stop                    func() // called by Start, if not nil
}

func (p part) Start(context.Context) error {
	*p.events = append(*p.events, "start "+p.name)
	if p.stop != nil {
		p.stop()
	}
	return p.failStart
}

func (p part) Shutdown(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ctx.Err() != nil || !ok || time.Until(deadline) > time.Hour {
		*p.events = append(*p.events, "without the time to drain:")
	}
	*p.events = append(*p.events, "stop "+p.name)
	return p.failShutdown
}

func TestRun(t *testing.T) {
	bind, flush := errors.New("address in use"), errors.New("not all was sent")
	for name, tt := range map[string]struct {
		failStart, failShutdown error // of b
		want                    []string
	}{
		"until the context ends": {want: []string{"start a", "start b", "start c", "stop c", "stop b", "stop a"}},
		"one does not start":     {failStart: bind, want: []string{"start a", "start b", "stop a"}},
		"one does not shut down": {failShutdown: flush, want: []string{"start a", "start b", "start c", "stop c", "stop b", "stop a"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var events []string
			err := Run(ctx, time.Hour, part{name: "a", events: &events},
				part{name: "b", events: &events, failStart: tt.failStart, failShutdown: tt.failShutdown},
				part{name: "c", events: &events, stop: cancel})
			if !slices.Equal(events, tt.want) {
				t.Errorf("the calls are %q, want %q", events, tt.want)
			}
			want := tt.failStart
			if want == nil {
				want = tt.failShutdown
			}
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("error %v, want %v", err, want)
			}
		})
	}
}
