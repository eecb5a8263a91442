package main

import (
	"fmt"
	"io"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/hostile"
)

func printTable(w io.Writer, results []result) {
	fmt.Fprintf(w, "%-34s %-4s %11s %8s %8s %8s %8s %6s %7s %7s %7s %7s %6s  %s\n", "scenario", "good", "ok/sent",
		"p50", "attack", "p99", "attack", "ratio", "RSS MiB", "peak", "VmHWM", "bound", "CPU s", "verdict")
	for _, r := range results {
		verdict := "ok"
		if len(r.Faults) > 0 {
			verdict = "FAIL"
		}
		name := r.Scenario
		bound := "–"
		if r.Bound > 0 {
			bound = fmt.Sprintf("≤%.0f", r.Bound)
		}
		for i, g := range r.Good {
			fmt.Fprintf(w, "%-34s %-4s %5d/%-5d %8s %8s %8s %8s %5.1f×", name, g.Port, g.Beside.OK, g.Beside.Sent,
				short(mean(g.Before, g.After, p50)), short(g.Beside.P50), short(mean(g.Before, g.After, p99)), short(g.Beside.P99), g.Ratio)
			if i == 0 {
				fmt.Fprintf(w, " %7.1f %7.1f %7.1f %7s %6.2f  %s", r.RSSBefore, r.RSSPeak, r.HighWater, bound, r.CPU, verdict)
			}
			fmt.Fprintln(w)
			name = ""
		}
		if len(r.Good) == 0 {
			fmt.Fprintf(w, "%-34s %7.1f MiB, peak %.1f, VmHWM %.1f, bound %s, CPU %.2f s  %s\n", name, r.RSSBefore, r.RSSPeak, r.HighWater, bound, r.CPU, verdict)
		}
		printLines(w, r)
	}
	fmt.Fprintln(w, "\np50 and p99: alone (mean of before and after), and during the attack. bound: of VmHWM.")
}

// printLines prints the texts that have no column.
func printLines(w io.Writer, r result) {
	if r.Offered != "" {
		fmt.Fprintf(w, "    offered  %s\n", r.Offered)
	}
	if r.Outcome != "" {
		fmt.Fprintf(w, "    outcome  %s\n", r.Outcome)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "    note     %s\n", n)
	}
	for _, f := range r.Faults {
		fmt.Fprintf(w, "    FAULT    %s\n", f)
	}
}

func p50(r hostile.Report) time.Duration { return r.P50 }
func p99(r hostile.Report) time.Duration { return r.P99 }

func mean(a, b hostile.Report, of func(hostile.Report) time.Duration) time.Duration {
	return (of(a) + of(b)) / 2
}

func short(d time.Duration) string {
	if d < time.Millisecond {
		return d.Round(time.Microsecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
