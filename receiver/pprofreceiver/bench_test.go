package pprofreceiver

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/reporter"
)

type nowhere struct{}

func (nowhere) ReportPprof(context.Context, *profile.Profile, reporter.PprofMeta) error { return nil }

// BenchmarkHeap is what a heap profile of 2000 stacks of 24 frames costs, from
// bytes to the sink; bytes/baseline is what is remembered of it.
func BenchmarkHeap(b *testing.B) {
	p := makeProfile(heapTypes, time.Now(), program, 0)
	for i := range 3000 {
		fn := &profile.Function{ID: uint64(i + 1), Name: fmt.Sprintf("github.com/some/module/package.(*Type).Method%d", i), Filename: "/go/src/github.com/some/module/package/file.go"}
		l := &profile.Location{ID: uint64(i + 1), Mapping: p.Mapping[0], Address: uint64(0x400000 + 16*i), Line: []profile.Line{{Function: fn, Line: int64(i)}}}
		p.Function, p.Location = append(p.Function, fn), append(p.Location, l)
	}
	for i := range 2000 {
		s := &profile.Sample{Value: []int64{1, 2, 3, 4}}
		for d := range 24 {
			s.Location = append(s.Location, p.Location[(i*7+d*131)%3000])
		}
		p.Sample = append(p.Sample, s)
	}
	var packed bytes.Buffer
	if err := p.Write(&packed); err != nil {
		b.Fatal(err)
	}
	e, err := NewEngine(one("localhost:1", "heap"), settings(), nowhere{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, err := e.parsed(b.Context(), packed.Bytes(), nil, false, func(a *answer) (counts, error) {
			a.asked, a.done = time.Now(), time.Now()
			return e.deliver(e.targets[0].jobs[0], a)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(e.Stats().BaselineBytes), "bytes/baseline")
	b.ReportMetric(float64(packed.Len()), "bytes/fetch")
}
