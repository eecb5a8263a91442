// Command cost searches for the inputs that cost decoders, checks, processors and
// exporters the most CPU time per byte: every field of every message with many values,
// repeated at each level, and then random changes to the worst. With -memory, it
// searches for those that take the most memory, and compares it with what is charged.
//
//	go run ./cost                     some minutes
//	go run ./cost -target JSON -climb 60s -top 10 -show
//	go run ./cost -memory
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"

	"github.com/penstock-telemetry/penstock/bench/payload"
	"github.com/penstock-telemetry/penstock/internal/test/amplify"
	"github.com/penstock-telemetry/penstock/otlp"
)

type options struct {
	only    *regexp.Regexp
	size    int
	confirm int
	climb   time.Duration
	top     int
	show    bool
	seed    uint64
	memory  bool
}

const defaultSize, defaultMemorySize = 16 << 10, 256 << 10

func main() {
	var o options
	only := flag.String("target", "", "search the targets whose name this regular expression matches")
	flag.IntVar(&o.size, "size", defaultSize, "bytes of the inputs of the search; 256 KiB with -memory")
	flag.IntVar(&o.confirm, "confirm", 1<<20, "bytes of the inputs with which the result is confirmed")
	flag.DurationVar(&o.climb, "climb", 20*time.Second, "how long the worst inputs of a target are changed at random")
	flag.IntVar(&o.top, "top", 1, "how many inputs of a target are printed")
	flag.BoolVar(&o.show, "show", false, "print the inputs, too")
	flag.Uint64Var(&o.seed, "seed", 1, "of the random changes")
	flag.BoolVar(&o.memory, "memory", false, "search for memory instead of CPU time")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if o.memory {
		if o.size == defaultSize {
			o.size = defaultMemorySize
		}
		return searchMemory(ctx, o)
	}
	targets, stop, err := amplify.Targets(ctx)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Printf("%-28s %8s %8s %8s %6s  %s\n", "ns/byte of", "plain", "worst", fmt.Sprintf("at %s", bytesOf(o.confirm)), "ratio", "input")
	for i := range targets {
		t := &targets[i]
		if o.only.MatchString(t.Name) && ctx.Err() == nil {
			o.report(t, t.Search(ctx, o.size, o.climb, o.seed))
		}
	}
	return ctx.Err()
}

// report prints the worst inputs of a target, by what they cost when they are large.
func (o options) report(t *amplify.Target, found []amplify.Found) {
	typical := plain(t)
	for i, f := range found[:min(o.top, len(found))] {
		name := t.Name
		if i > 0 {
			name = ""
		}
		large, ok := t.Cost(f.Kind.Format, f.Kind.Request(o.confirm), 0)
		confirmed, ratio := "invalid", "–"
		if ok {
			confirmed = fmt.Sprintf("%.2f", large)
			if typical > 0 {
				ratio = fmt.Sprintf("%.0f", max(large, f.Nanos)/typical)
			}
		}
		fmt.Printf("%-28s %8.2f %8.2f %8s %6s  %s\n", name, typical, f.Nanos, confirmed, ratio, f.Kind)
		if o.show {
			fmt.Printf("    %.300q\n", f.Kind.Request(256))
		}
	}
}

// plain returns the mean cost of ordinary requests of 1000 items, 0 if there are none
// in the formats of the target.
func plain(t *amplify.Target) float64 {
	sum, n := 0.0, 0
	for _, f := range t.Formats {
		if f.Signal == 0 {
			continue
		}
		body := payload.Of(f.Signal, 1000)
		if f.JSON {
			body = otlp.AppendJSON(nil, f.Signal, body)
		}
		if cost, ok := t.Cost(f, body, 0); ok {
			sum += cost
			n++
		}
	}
	return sum / float64(max(n, 1))
}

func bytesOf(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
