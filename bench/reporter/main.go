// Command reporter compares the OTLP reporter with that of the eBPF profiler:
// both get the same stacks, threads and times.
//
//	go run ./reporter                       the table
//	go run ./reporter -rounds 1 -scale 5    a short run
//
// Each measurement runs in a separate process, the reporters in turn. The table
// has the median of the rounds, and the median of the ratios of each round.
// Sizes are the same in each round and are measured once. The command does not
// fail if a target is missed.
//
//	program ─► workload ─┬─► ours:  OTLPReporter ─► pipeline.Consumer ─► bytes
//	                     └─► peer:  CollectorReporter ─► xconsumer.Profiles ─► pprofileotlp ─► bytes
//
// It needs Linux: it reads /proc.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == childArg {
		os.Exit(childMain())
	}
	rounds := flag.Int("rounds", 5, "rounds of each measurement")
	scale := flag.Int("scale", 100, "percentage of the usual number of events and stacks")
	only := flag.String("only", "", "measure the rows whose name contains this")
	asJSON := flag.Bool("json", false, "print JSON instead of a table")
	payloads := flag.String("payloads", "", "glob of profiles requests to replay (default: those of the repository)")
	profile := flag.String("profile", "", "write a CPU profile of our flush to this file, and nothing else")
	flag.Parse()
	if *scale < 1 || *rounds < 1 {
		fmt.Fprintln(os.Stderr, "reporter: -rounds and -scale must be at least 1")
		os.Exit(2)
	}
	var err error
	if *profile != "" {
		_, err = runChild(job{Kind: kindFlush, Who: ours, Scale: *scale, Profile: *profile})
	} else {
		err = run(os.Stdout, options{*rounds, *scale, *only, *asJSON, *payloads})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reporter:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds, scale int
	only          string
	asJSON        bool
	payloads      string
}

// row is one line of the table.
type row struct {
	Name string  `json:"name"`
	Unit string  `json:"unit"`
	Ours float64 `json:"ours"`
	Peer float64 `json:"peer,omitempty"`
	// Ratio is Ours to Peer: the median of the rounds.
	Ratio    float64 `json:"ratio,omitempty"`
	RatioMin float64 `json:"ratio_min,omitempty"`
	RatioMax float64 `json:"ratio_max,omitempty"`
	// Target is the maximum that Ours should have at full scale, RatioTarget the
	// maximum of Ratio; 0 means none.
	Target      float64 `json:"target,omitempty"`
	RatioTarget float64 `json:"ratio_target,omitempty"`
	Note        string  `json:"note,omitempty"`
}

func run(w io.Writer, o options) error {
	var rows []row
	for _, m := range measurements {
		if !strings.Contains(m.name, o.only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %d rounds\n", m.name, o.rounds)
		rs, err := m.take(o)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		rows = append(rows, rs...)
	}
	if strings.Contains("sizes", o.only) {
		fmt.Fprintln(os.Stderr, "sizes")
		rs, err := sizes(o)
		if err != nil {
			return fmt.Errorf("sizes: %w", err)
		}
		rows = append(rows, rs...)
	}
	if o.asJSON {
		return json.NewEncoder(w).Encode(rows)
	}
	printTable(w, rows, o)
	return nil
}

func printTable(w io.Writer, rows []row, o options) {
	fmt.Fprintf(w, "%-58s %10s %10s %-5s %7s %15s %14s  %s\n", "what", "ours", "other", "", "ratio", "min … max", "target", "")
	for _, r := range rows {
		peer, ratio, spread, target := "", "", "", ""
		if r.Peer > 0 {
			peer, ratio = number(r.Peer), fmt.Sprintf("%.2f×", r.Ratio)
		}
		if r.RatioMax > 0 {
			spread = fmt.Sprintf("%.2f … %.2f", r.RatioMin, r.RatioMax)
		}
		if r.Target > 0 && o.scale == 100 {
			target = "≤" + number(r.Target) + " "
		}
		if r.RatioTarget > 0 {
			target += fmt.Sprintf("≤%.2f×", r.RatioTarget)
		}
		fmt.Fprintf(w, "%-58s %10s %10s %-5s %7s %15s %14s  %s\n", r.Name, number(r.Ours), peer, r.Unit, ratio, spread, target, r.Note)
	}
	fmt.Fprint(w, legend)
	if o.scale != 100 {
		fmt.Fprintf(w, "This is %d %% of the usual events and stacks; the targets are for 100 %%.\n", o.scale)
	}
}

const legend = `
other: the eBPF profiler's reporter (go.opentelemetry.io/ebpf-profiler v0.0.202633), unless the row names another.
CPU: user and system time of the whole process, including the garbage collector. wall: ns/op as in go test -bench.
live heap: the heap after a collection, with the allocations during it. resident: with the usual garbage (GOGC=100).
pdata writes a resource's keys and strings as references into the dictionary, which saves bytes if there are
several resources; ours writes them in full, for receivers that do not resolve such references.
`

func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.3f", v)
	case v < 1000:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
