package hostile_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/test/hostile"
)

// heap returns the bytes of live and not yet swept objects.
func heap() int {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

// Bombs above the limit are refused as too large; those just below it are accepted,
// or refused with a hint to retry. In both cases no more memory is held than the
// budget and a fixed amount. The subtests run one after the other: they measure the
// process's memory.
func TestBombs(t *testing.T) {
	const (
		limit  = 4 << 20
		budget = 12 << 20
		beside = 48 << 20 // decoders' state, the clients, garbage not yet collected
		salvo  = 24
	)
	for _, p := range []hostile.Port{hostile.GRPC, hostile.HTTP} {
		for _, encoding := range hostile.Codecs(p) {
			for name, size := range map[string]int{"beyond": 16 * limit, "below": limit} {
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
								t.Errorf("answered %s, expected too large or a hint to retry", a)
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

// Sizes that a body announces are not trusted: it costs what it really holds, and
// is answered soon. An empty request may be accepted.
func TestLies(t *testing.T) {
	const beside = 96 << 20 // as in TestBombs, and zstd's windows of 8 MiB at most for a salvo of 8
	for _, p := range []hostile.Port{hostile.GRPC, hostile.HTTP} {
		lies, err := hostile.Lies(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range lies {
			t.Run(fmt.Sprintf("%s/%s", p, b.Name), func(t *testing.T) {
				r := newRig(t, nil, false, ", max_recv_msg_size_mib: 4", ", max_request_body_size: 4194304")
				runtime.GC()
				before := heap()
				highest := peak(heap)
				r.beside(func(ctx context.Context) {
					ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
					defer cancel()
					answers, errs := b.Salvo(ctx, r.target, 8)
					for _, err := range errs {
						t.Errorf("no answer: %v", err)
					}
					for _, a := range answers {
						if a.OK() && b.Bytes > 0 || a.HTTP >= 500 || a.GRPC == codes.Unknown {
							t.Errorf("answered %s, expected a permanent refusal", a)
						}
					}
				})
				if rise := highest() - before; rise > beside {
					t.Errorf("the heap grew by %d MiB, expected at most %d", rise>>20, beside>>20)
				}
			})
		}
	}
}
