package hostile_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/hostile"
)

// heap returns the bytes of live and not yet swept objects.
func heap() int {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

// Bombs beyond the limit are refused as too large, those just below it are taken
// or told to come again; either way no more memory is held than the budget has,
// and a fixed amount beside it. The subtests run one after the other: they
// measure the process's memory.
func TestBombs(t *testing.T) {
	const (
		limit  = 4 << 20
		budget = 12 << 20
		beside = 48 << 20 // decoders' state, the clients, garbage not yet collected
		salvo  = 24
	)
	for _, p := range []hostile.Port{hostile.GRPC, hostile.HTTP} {
		for _, encoding := range hostile.Codecs(p) {
			for name, size := range map[string]int{"beyond": 32 * limit, "below": limit} {
				t.Run(fmt.Sprintf("%s/%s/%s", p, encoding, name), func(t *testing.T) {
					b, err := hostile.NewBomb(p, encoding, size)
					if err != nil {
						t.Fatal(err)
					}
					memory := admission.New(admission.Config{Bytes: budget, MaxWait: 5 * time.Second, MaxWaiting: 1000})
					r := newRig(t, memory, false, ", max_recv_msg_size_mib: 4", fmt.Sprintf(", max_request_body_size: %d", limit))
					runtime.GC()
					before := heap()
					highest := peak(heap)
					r.beside(func(ctx context.Context) {
						answers, errs := b.Salvo(ctx, r.target, salvo)
						for _, err := range errs {
							t.Errorf("no answer: %v", err)
						}
						for _, a := range answers {
							if !a.TooLarge() && !a.Later() && !(a.OK() && size <= limit) {
								t.Errorf("answered %s, expected too large or an invitation to come again", a)
							}
						}
					})
					if rise := highest() - before; rise > budget+beside {
						t.Errorf("the heap grew by %d MiB, expected at most %d", rise>>20, (budget+beside)>>20)
					}
					if s := memory.Stats(); s.Peak > budget || s.Peak == 0 {
						t.Errorf("the budget's peak is %d bytes of %d", s.Peak, budget)
					}
				})
			}
		}
	}
}
