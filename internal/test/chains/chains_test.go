// Package chains runs random requests through random chains of all processors.
package chains

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/components"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var (
	chains = flag.Int("chains", 150, "how many chains are tried for each signal")
	only   = flag.String("only", "", "try only processors whose configuration has one of these texts, with | between them")
	seed   = flag.Uint64("seed", 0, "of the first chain; 0: another one each time")
)

// variant is one configuration of a processor.
type variant struct {
	typ      string
	settings string
	create   func(s otlp.Signal) (pipeline.Processor, error)
}

var errSignal = errors.New("the processor does not have this signal")

// variants are the configurations of testdata/processors.yaml.
func variants(t testing.TB) (list []variant) {
	t.Helper()
	text, err := os.ReadFile("testdata/processors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var byType map[string][]yaml.Node
	if err := yaml.Unmarshal(text, &byType); err != nil {
		t.Fatal(err)
	}
	for _, d := range components.Default() {
		if d.Processor == nil || d.Type == "memory_limiter" {
			continue
		}
		if len(byType[d.Type]) == 0 {
			t.Errorf("testdata/processors.yaml has no configuration of %s", d.Type)
		}
		for _, n := range byType[d.Type] {
			settings, err := yaml.Marshal(&n)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, newVariant(d, string(settings)))
		}
	}
	return list
}

func newVariant(d component.Descriptor, settings string) variant {
	return variant{d.Type, settings, func(s otlp.Signal) (pipeline.Processor, error) {
		if d.Stability[s] == "" {
			return nil, errSignal
		}
		tree, err := conf.Load(conf.Options{Sources: []string{"yaml:" + settings}})
		if err != nil {
			return nil, err
		}
		config := d.DefaultConfig()
		if err := tree.Root().Decode(config); err != nil {
			return nil, err
		}
		return d.Processor(config, component.Settings{ID: d.Type, Signal: s}.OrDefaults())
	}}
}

// counts is how many items each step of a chain was given and passed on.
type counts struct{ in, out []int }

// observer is the counts of one step. A step that is timed is not fused with others.
type observer struct {
	b     *counts
	step  int
	timed bool
}

func (o observer) Timed() bool { return o.timed }
func (o observer) Processed(_ context.Context, _ otlp.Signal, in, out int, _ time.Duration) {
	o.b.in[o.step], o.b.out[o.step] = in, out
}

// Whatever passes Check passes it again behind any chain of processors; what goes into a
// step is what the one before passed on, and what the last one passed on arrives. The
// request itself is not changed. In one pass the result is the same to the byte as one by
// one.
func TestChains(t *testing.T) {
	all := variants(t)
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	for _, s := range otlp.Signals() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			var of []variant
			for _, v := range all {
				if !slices.ContainsFunc(strings.Split(*only, "|"), func(text string) bool { return strings.Contains(v.settings, text) }) {
					continue
				}
				if _, err := v.create(s); err == nil {
					of = append(of, v)
				} else if err != errSignal {
					t.Logf("%s has no %s: %v", v.typ, s, err)
				}
			}
			changed, dropped := 0, 0
			for i := range *chains {
				if len(of) == 0 {
					t.Skip("no processor has the text of -only")
				}
				c, d := tryChain(t, s, of, first+uint64(i))
				changed += c
				dropped += d
				if t.Failed() {
					t.Fatalf("run again with -seed %d -chains 1", first+uint64(i))
				}
			}
			if changed == 0 || dropped == 0 {
				t.Errorf("%d requests were changed and %d items dropped: the test tests little", changed, dropped)
			}
		})
	}
}

// tried is a chain, fused where it can be or not at all.
type tried struct {
	names  []string
	counts counts
	sink   *testkit.Sink
	chain  pipeline.Consumer
}

func newTried(t *testing.T, s otlp.Signal, of []variant, apart bool) *tried {
	t.Helper()
	c := &tried{sink: &testkit.Sink{}}
	var steps []pipeline.Step
	for i, v := range of {
		p, err := v.create(s)
		if err != nil {
			t.Fatal(err)
		}
		c.names = append(c.names, v.typ+" "+v.settings)
		c.counts.in, c.counts.out = append(c.counts.in, 0), append(c.counts.out, 0)
		steps = append(steps, pipeline.Step{Name: fmt.Sprint(v.typ, "/", i), Processor: p, Observer: observer{&c.counts, i, apart}})
	}
	c.chain = pipeline.Chain(c.sink, steps...)
	return c
}

// run returns what arrives of a request, and how many items it has.
func (c *tried) run(t *testing.T, s otlp.Signal, request []byte) (out []byte, in, n int) {
	t.Helper()
	clear(c.counts.in)
	clear(c.counts.out)
	batch, err := pipeline.NewBatch(s, bytes.Clone(request), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	c.sink.Reset()
	if err := c.chain.Consume(t.Context(), batch); err != nil {
		t.Errorf("%v: from %q", err, c.names)
	}
	if !bytes.Equal(batch.Bytes(), request) {
		t.Errorf("the request was changed by %q", c.names)
	}
	out, n = arrived(t, s, c.sink)
	if in = batch.Items(); !t.Failed() && !c.counts.balance(in, n) {
		t.Errorf("%d items went in and %d came out, the steps counted in %d out %d: %q", in, n, c.counts.in, c.counts.out, c.names)
	}
	return out, in, n
}

func tryChain(t *testing.T, s otlp.Signal, of []variant, seed uint64) (changed, dropped int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, uint64(s)))
	var steps []variant
	for range 1 + rng.IntN(5) {
		steps = append(steps, of[rng.IntN(len(of))])
	}
	fused, apart := newTried(t, s, steps, false), newTried(t, s, steps, true)
	for range 3 {
		request := randomRequest(rng, s)
		out, in, n := fused.run(t, s, request)
		again, _, _ := apart.run(t, s, request)
		// Entries are added to a dictionary in the order in which items need them, which is
		// another one in one pass: what they stand for is the same.
		same := bytes.Equal(out, again) || s.Spec().HasDictionary && resolved(t, s, out) == resolved(t, s, again)
		if !same || !slices.Equal(fused.counts.out, apart.counts.out) {
			t.Errorf("in one pass %d bytes, %d; one by one %d bytes, %d: %q", len(out), fused.counts.out, len(again), apart.counts.out, fused.names)
		}
		dropped += max(in-n, 0)
		if !bytes.Equal(out, request) {
			changed++
		}
		if t.Failed() {
			break
		}
	}
	return changed, dropped
}

// balance reports whether every step was given what the one before passed on.
func (b *counts) balance(in, out int) bool {
	for i := range b.in {
		if b.in[i] != in && in != 0 {
			return false
		}
		if in = b.out[i]; in == 0 {
			return out == 0
		}
	}
	return in == out
}

func randomRequest(rng *rand.Rand, s otlp.Signal) []byte {
	if rng.IntN(2) == 0 {
		return testkit.NewRandom(rng.Int64()).Request(s)
	}
	return testkit.Request(rng, s, rng.IntN(6))
}

// arrived returns what came to the sink, and how many items it has.
func arrived(t *testing.T, s otlp.Signal, sink *testkit.Sink) (request []byte, items int) {
	t.Helper()
	requests := sink.Requests(s)
	if len(requests) == 0 {
		return nil, 0
	}
	request = slices.Concat(requests...)
	items, err := otlp.Check(s, request)
	if err != nil {
		t.Errorf("what came out is refused: %v", err)
	}
	return request, items
}
