package amplify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// A Target is something whose CPU time per byte of input is searched for its maximum.
type Target struct {
	Name    string
	Formats []*Format
	// Do takes one input and returns how long that took, without what the input
	// needs before; ok is false if the input is not valid.
	Do func(f *Format, body []byte) (took time.Duration, ok bool)
}

// Targets returns the decoders, checks and components. Files are written in a temporary
// directory; the caller calls stop.
func Targets(ctx context.Context) (list []Target, stop func(), err error) {
	requests := Formats(false)
	list = append(list,
		timed("check", requests, func(f *Format, body []byte) bool {
			_, err := otlp.Inspect(f.Signal, body)
			return err == nil
		}),
		decoding(),
		timed("UTF-8", requests, func(f *Format, body []byte) bool {
			if otlp.FirstInvalidUTF8(f.Signal, body) != nil {
				result, beside := otlp.RepairSpace(f.Signal, body)
				otlp.RepairUTF8(make([]byte, 0, result+beside), f.Signal, body)
			}
			return true
		}),
		timed("request to collectionagent", []*Format{agentFormat()}, func(_ *Format, body []byte) bool {
			_, _ = collectionagentv1.Parse(ctx, body) // what is not valid is read to its end, too
			return true
		}),
		timed("pprof", []*Format{pprofFormat()}, func(_ *Format, body []byte) bool {
			if p, err := profile.ParseUncompressed(body); err == nil {
				_ = p.CheckValid()
			}
			return true
		}))
	subjects, err := Subjects()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "amplify")
	if err != nil {
		return nil, nil, err
	}
	stops := []func(){func() { _ = os.RemoveAll(dir) }}
	stop = func() {
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i]()
		}
	}
	for i := range subjects {
		s := &subjects[i]
		c, end, err := s.Start(ctx, dir)
		if err != nil {
			stop()
			return nil, nil, fmt.Errorf("start %s: %w", s.Name, err)
		}
		stops = append(stops, end)
		takes := slices.DeleteFunc(slices.Clone(requests), func(f *Format) bool { return !s.Takes(f.Signal) })
		list = append(list, Target{Name: s.Name, Formats: takes, Do: consuming(ctx, c)})
	}
	return list, stop, nil
}

// timed is a target that is measured as a whole.
func timed(name string, formats []*Format, do func(*Format, []byte) bool) Target {
	return Target{Name: name, Formats: formats, Do: func(f *Format, body []byte) (time.Duration, bool) {
		start := time.Now()
		ok := do(f, body)
		return time.Since(start), ok
	}}
}

// decoding is the decoder of JSON, in the memory that is always enough.
func decoding() Target {
	var dst []byte
	return timed("JSON decoder", Formats(true), func(f *Format, text []byte) bool {
		if n := otlp.MaxWireBytes(len(text)); cap(dst) < n {
			dst = make([]byte, n)
		}
		_, err := otlp.DecodeJSON(dst[:0], f.Signal, text)
		return err == nil
	})
}

// consuming measures Consume of a component, for a request whose memory is charged.
func consuming(ctx context.Context, c pipeline.Consumer) func(*Format, []byte) (time.Duration, bool) {
	budget := admission.New(admission.Config{Bytes: 1 << 32})
	return func(f *Format, body []byte) (time.Duration, bool) {
		b, err := pipeline.NewBatch(f.Signal, body, nil)
		if err != nil {
			return 0, false
		}
		defer b.Release()
		ticket, err := budget.Acquire(ctx, "", len(body)+b.MergeBytes())
		if err != nil {
			return 0, false
		}
		b.Hold(ticket)
		start := time.Now()
		err = c.Consume(ctx, b)
		return time.Since(start), err == nil
	}
}

// Found is an input and what it costs.
type Found struct {
	Kind  Kind
	Nanos float64 // for each byte
}

// Cost returns the time for each byte of a body, the least of several tries, and false
// if the input is not valid. What is less than enough is not measured more exactly.
func (t *Target) Cost(f *Format, body []byte, enough float64) (nanos float64, ok bool) {
	const most = 12
	for try := range most {
		took, ok := t.Do(f, body)
		if !ok {
			return 0, false
		}
		n := float64(took.Nanoseconds()) / float64(len(body))
		if try == 0 || n < nanos {
			nanos = n
		}
		if nanos < enough {
			break
		}
	}
	return nanos, true
}

// Search returns the inputs of the target that cost most, the worst first: of all
// kinds, and then of changes to the worst of them, for the given time.
func (t *Target) Search(ctx context.Context, size int, climb time.Duration, seed uint64) []Found {
	const keep = 24
	var worst []Found
	note := func(k Kind) bool {
		enough := 0.0
		if len(worst) == keep {
			enough = worst[keep-1].Nanos
		}
		n, ok := t.Cost(k.Format, k.Request(size), enough)
		if !ok || n <= enough {
			return false
		}
		worst = insert(worst, Found{k, n}, keep)
		return true
	}
	for _, f := range t.Formats {
		for _, k := range f.Kinds() {
			if ctx.Err() != nil {
				return worst
			}
			note(k)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for end := time.Now().Add(climb); len(worst) > 0 && time.Now().Before(end) && ctx.Err() == nil; {
		note(worst[rng.IntN(len(worst))].Kind.mutate(rng))
	}
	return worst
}

// insert puts f in its place in a list that has the worst first. Of inputs with the
// same message and level it keeps at most three, so that the list stays diverse.
func insert(list []Found, f Found, keep int) []Found {
	i := 0
	for i < len(list) && list[i].Nanos >= f.Nanos {
		i++
	}
	list = append(list, Found{})
	copy(list[i+1:], list[i:])
	list[i] = f
	same := 0
	for i := 0; i < len(list); i++ {
		if list[i].Kind.sameMessage(f.Kind) {
			if same++; same > 3 {
				list = append(list[:i], list[i+1:]...)
				break
			}
		}
	}
	return list[:min(len(list), keep)]
}

func (k Kind) sameMessage(other Kind) bool {
	if k.Format != other.Format || k.amplifier != other.amplifier || k.level != other.level || len(k.path) != len(other.path) {
		return false
	}
	for i := range k.path {
		if k.path[i] != other.path[i] {
			return false
		}
	}
	return true
}
