package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"slices"

	"github.com/penstock-telemetry/penstock/internal/test/amplify"
)

// heavy is an input and the memory that it took.
type heavy struct {
	kind   amplify.Kind
	bytes  int // of the input
	weight amplify.Weight
}

// searchMemory prints for each component the inputs for which most is charged per byte,
// and those for which more is allocated than what is charged accounts for.
func searchMemory(ctx context.Context, o options) error {
	subjects, err := amplify.Subjects()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cost")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	debug.SetGCPercent(400)
	fmt.Printf("%-36s %8s %10s %10s %8s  %s\n", "component", "inputs", "allocated", "charged", "excess", "input")
	for i := range subjects {
		s := &subjects[i]
		if !o.only.MatchString(s.Name) {
			continue
		}
		all, err := weighAll(ctx, o, s, dir)
		if err != nil {
			return err
		}
		o.printHeavy(s.Name, all)
	}
	return ctx.Err()
}

// weighAll returns what all inputs took, without those of which nothing is left.
func weighAll(ctx context.Context, o options, s *amplify.Subject, dir string) (all []heavy, err error) {
	c, stop, err := s.Start(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	defer stop()
	for _, f := range amplify.Formats(false) {
		if !s.Takes(f.Signal) {
			continue
		}
		for _, k := range f.Kinds() {
			body := k.Request(o.size)
			w, ok := amplify.Weigh(ctx, c, f.Signal, body)
			if !ok {
				continue
			}
			if w.Excess() > 0 { // once more: what is allocated once does not count
				w, _ = amplify.Weigh(ctx, c, f.Signal, body)
			}
			all = append(all, heavy{k, len(body), w})
			if ctx.Err() != nil {
				return all, ctx.Err()
			}
		}
	}
	return all, nil
}

func (o options) printHeavy(name string, all []heavy) {
	show := func(h heavy) {
		fmt.Printf("%-36s %8d %9.1f× %9.1f× %8d  %s\n", name, len(all), float64(h.weight.Allocated)/float64(h.bytes),
			float64(h.weight.Charged)/float64(h.bytes), max(h.weight.Excess(), 0), h.kind)
	}
	slices.SortStableFunc(all, func(a, b heavy) int {
		return cmp.Compare(float64(b.weight.Charged)/float64(b.bytes), float64(a.weight.Charged)/float64(a.bytes))
	})
	for _, h := range all[:min(o.top, len(all))] {
		show(h)
	}
	uncharged := 0
	for _, h := range all {
		if h.weight.Excess() > 0 || h.weight.Left > 0 {
			if uncharged++; uncharged <= o.top {
				show(h)
			}
		}
	}
	if uncharged > 0 {
		fmt.Printf("%-36s %d inputs of which not everything was charged\n", name, uncharged)
	}
}
