// Command servers compares the whole server with a grpc-go server that only
// discards bytes: CPU time of the process for each item, and peak RSS. Both get
// the same requests from the same client in the same run, in turn. The result
// is the median of the ratios of all rounds.
//
//	go run ./servers                    all scenarios
//	go run ./servers -rounds 1 -scale 50  a short run
//
// It needs Linux: it reads /proc.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// scenario is one row of the table.
type scenario struct {
	Name        string
	Transport   string // grpc or http
	Compression string // "", gzip, zstd
	Logs        bool   // varied log records instead of spans
	Items       int    // in each request
	Requests    int    // in each round
	Relay       bool   // forward to a discarding server instead of nop
	Queue       bool   // with a queue on disk in between
	Merge       bool   // compressed_merge, with a queue
	Out         string // the compression of a relay; "" is that of the request
	// Processors are processors between receiver and exporter, by their names in
	// processors.go. The records are then those of payload.WideLogs, and the ratio is to the
	// relay of them without processors.
	Processors string
	Wide       bool // the records are those of payload.WideLogs
	// Plain compares with the relay of the same requests over the same transport without
	// compression, instead of with the discarding server.
	Plain bool
	// Target is the maximum that the ratio should have; 0 means none.
	Target float64
}

var scenarios = []scenario{
	{Name: "gRPC ×1000 → nop", Transport: "grpc", Items: 1000, Requests: 3000, Target: 2.2},
	{Name: "gRPC ×10 → nop", Transport: "grpc", Items: 10, Requests: 30000, Target: 1.25},
	{Name: "gRPC ×1000 → OTLP → sink", Transport: "grpc", Items: 1000, Requests: 2000, Relay: true, Target: 3.5},
	{Name: "gRPC ×1000 → queue → OTLP → sink", Transport: "grpc", Items: 1000, Requests: 2000, Relay: true, Queue: true},
	{Name: "gRPC ×10 → OTLP → sink", Transport: "grpc", Items: 10, Requests: 20000, Relay: true},
	{Name: "gRPC ×10 → queue → OTLP → sink", Transport: "grpc", Items: 10, Requests: 20000, Relay: true, Queue: true},
	{Name: "HTTP ×1000 → nop", Transport: "http", Items: 1000, Requests: 3000},
	{Name: "HTTP gzip ×1000 → nop", Transport: "http", Compression: "gzip", Items: 1000, Requests: 1000},
	{Name: "HTTP zstd ×1000 → nop", Transport: "http", Compression: "zstd", Items: 1000, Requests: 1000},
	{Name: "gRPC gzip → gzip relay", Transport: "grpc", Compression: "gzip", Logs: true, Items: 1000, Requests: 1500, Relay: true, Plain: true, Target: 1.9},
	{Name: "gRPC zstd → zstd relay", Transport: "grpc", Compression: "zstd", Logs: true, Items: 1000, Requests: 1500, Relay: true, Plain: true, Target: 1.3},
	{Name: "HTTP gzip → gzip relay", Transport: "http", Compression: "gzip", Logs: true, Items: 1000, Requests: 1500, Relay: true, Plain: true, Target: 1.9},
	{Name: "HTTP zstd → zstd relay", Transport: "http", Compression: "zstd", Logs: true, Items: 1000, Requests: 1500, Relay: true, Plain: true, Target: 1.3},
	{Name: "gRPC gzip → queue → gzip relay", Transport: "grpc", Compression: "gzip", Logs: true, Items: 1000, Requests: 1500, Relay: true, Queue: true, Plain: true, Target: 1.9},
	{Name: "gRPC zstd → queue → zstd relay", Transport: "grpc", Compression: "zstd", Logs: true, Items: 1000, Requests: 1500, Relay: true, Queue: true, Plain: true, Target: 1.3},
	{Name: "HTTP gzip → queue → gzip relay", Transport: "http", Compression: "gzip", Logs: true, Items: 1000, Requests: 1500, Relay: true, Queue: true, Plain: true, Target: 1.9},
	{Name: "HTTP zstd → queue → zstd relay", Transport: "http", Compression: "zstd", Logs: true, Items: 1000, Requests: 1500, Relay: true, Queue: true, Plain: true, Target: 1.3},
	{Name: "gRPC gzip ×20 → queue → gzip relay", Transport: "grpc", Compression: "gzip", Logs: true, Items: 20, Requests: 15000, Relay: true, Queue: true, Plain: true},
	{Name: "gRPC gzip ×20 → queue → gzip joined", Transport: "grpc", Compression: "gzip", Logs: true, Items: 20, Requests: 15000, Relay: true, Queue: true, Merge: true, Plain: true},
	{Name: "rename four (attributes)", Processors: "attributes"},
	{Name: "rename four (transform)", Processors: "transform/rename"},
	{Name: "drop 95 % (filter)", Processors: "filter"},
	{Name: "ten statements (transform)", Processors: "transform/ten"},
	{Name: "ten statements, none holds", Processors: "transform/none"},
	{Name: "three processors", Processors: "attributes, transform/one, filter/keep"},
	{Name: "HTTP gzip → zstd relay", Transport: "http", Compression: "gzip", Out: "zstd", Logs: true, Items: 1000, Requests: 1500, Relay: true, Plain: true},
}

// result is the result of a scenario.
type result struct {
	Scenario       string  `json:"scenario"`
	Items          int     `json:"items_per_request"`
	PenstockMicros float64 `json:"penstock_cpu_us_per_request"`
	DiscardMicros  float64 `json:"discard_cpu_us_per_request"`
	MicrosPerItem  float64 `json:"penstock_cpu_us_per_item"`
	Ratio          float64 `json:"ratio_median"`
	RatioMin       float64 `json:"ratio_min"`
	RatioMax       float64 `json:"ratio_max"`
	Target         float64 `json:"target,omitempty"`
	Collector      float64 `json:"collector_to_penstock_median,omitempty"`
	PenstockRSS    float64 `json:"penstock_peak_rss_mib"`
	DiscardRSS     float64 `json:"discard_peak_rss_mib"`
}

func main() {
	rounds := flag.Int("rounds", 7, "rounds of each scenario")
	scale := flag.Int("scale", 100, "percentage of the usual number of requests")
	conns := flag.Int("connections", 4, "client connections, one request in flight on each")
	only := flag.String("only", "", "run the scenarios whose name contains this")
	collector := flag.String("collector", "", "compare relays with this binary of the Collector, too")
	asJSON := flag.Bool("json", false, "print JSON instead of a table")
	flag.Parse()
	if err := run(*rounds, *scale, *conns, *only, *collector, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(1)
	}
}

func run(rounds, scale, conns int, only, collector string, asJSON bool) error {
	dir, err := os.MkdirTemp("", "penstock-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bins, err := build(dir)
	if err != nil {
		return err
	}
	bins.collector = collector
	var results []result
	for _, sc := range scenarios {
		if !strings.Contains(sc.Name, only) {
			continue
		}
		sc = sc.complete()
		sc.Requests = max(conns, sc.Requests*scale/100)
		fmt.Fprintf(os.Stderr, "%s: %d rounds of %d requests\n", sc.Name, rounds, sc.Requests)
		r, err := measure(bins, filepath.Join(dir, "conf"), sc, rounds, conns)
		if err != nil {
			return fmt.Errorf("%s: %w", sc.Name, err)
		}
		results = append(results, r)
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(results)
	}
	printTable(results)
	return nil
}

func printTable(rs []result) {
	fmt.Printf("%-33s %12s %12s %10s %7s %15s %7s %9s %10s\n", "scenario", "penstock", "reference", "per item", "ratio", "min … max", "target", "peak RSS", "collector")
	for _, r := range rs {
		target, collector := "", ""
		if r.Collector > 0 {
			collector = fmt.Sprintf("%8.2f×", r.Collector)
		}
		if r.Target > 0 {
			target = fmt.Sprintf("≤%.2f×", r.Target)
		}
		fmt.Printf("%-33s %9.1f µs %9.1f µs %7.3f µs %6.2f× %6.2f … %5.2f× %7s %5.1f MiB %s\n",
			r.Scenario, r.PenstockMicros, r.DiscardMicros, r.MicrosPerItem, r.Ratio, r.RatioMin, r.RatioMax, target, r.PenstockRSS, collector)
	}
	fmt.Println("\nCPU time of the server's process for each request (user and system); ratio: penstock to a grpc-go server that discards the same bytes, or, of a compressed relay, to the same relay without compression, median of the rounds; collector: the Collector to penstock.")
}

// subject is a server, and what is sent to it.
type subject struct {
	*process
	scenario
	micros []float64 // CPU time for each request, by round
}

// subjects starts penstock, the server that it is compared with and, if wanted, the
// Collector. The caller stops them, also after an error.
func subjects(bins binaries, confDir string, sc scenario) (all []*subject, err error) {
	add := func(p *process, sent scenario, err error) error {
		if err == nil {
			all = append(all, &subject{process: p, scenario: sent})
		}
		return err
	}
	p, err := startPenstock(bins.penstock, bins, filepath.Join(confDir, "penstock"), sc)
	if err := add(p, sc, err); err != nil {
		return all, err
	}
	plain := sc
	plain.Compression, plain.Out, plain.Processors = "", "", ""
	if sc.Plain {
		p, err = startPenstock(bins.penstock, bins, filepath.Join(confDir, "plain"), plain)
	} else {
		plain.Transport = "grpc"
		p, err = start(bins.discard)
	}
	if err := add(p, plain, err); err != nil || bins.collector == "" || !sc.Relay || sc.Queue {
		return all, err
	}
	p, err = startPenstock(bins.collector, bins, filepath.Join(confDir, "collector"), sc)
	return all, add(p, sc, err)
}

// measure runs the servers, and sends load to them in turn.
func measure(bins binaries, confDir string, sc scenario, rounds, conns int) (result, error) {
	all, err := subjects(bins, confDir, sc)
	defer func() {
		for _, s := range all {
			s.stop()
		}
	}()
	if err != nil {
		return result{}, err
	}
	warmups := 1
	if rounds == 1 {
		warmups = 0 // a short run
	}
	for i := range warmups + rounds {
		for _, s := range all {
			took, err := round(s.process, s.scenario, conns)
			if err != nil {
				return result{}, fmt.Errorf("%s: %w", filepath.Base(s.cmd.Path), err)
			}
			if i >= warmups {
				s.micros = append(s.micros, took)
			}
		}
	}
	mine, theirs := all[0], all[1]
	ratios := ratiosOf(mine, theirs)
	per := median(mine.micros)
	r := result{
		Scenario: sc.Name, Items: sc.Items, Target: sc.Target,
		PenstockMicros: per, DiscardMicros: median(theirs.micros), MicrosPerItem: per / float64(sc.Items),
		Ratio: median(ratios), RatioMin: slices.Min(ratios), RatioMax: slices.Max(ratios),
		PenstockRSS: mine.peakRSS(), DiscardRSS: theirs.peakRSS(),
	}
	if len(all) > 2 {
		r.Collector = median(ratiosOf(all[2], mine))
	}
	return r, nil
}

// ratiosOf returns the ratios of the rounds of two subjects.
func ratiosOf(a, b *subject) (all []float64) {
	for i := range a.micros {
		all = append(all, a.micros[i]/b.micros[i])
	}
	return all
}

// round sends the requests of sc to p, and returns the CPU time of p for each
// request, in µs.
func round(p *process, sc scenario, conns int) (float64, error) {
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	if err := load(p, sc, conns); err != nil {
		return 0, err
	}
	if sc.Queue {
		if err := p.awaitIdle(); err != nil {
			return 0, err
		}
	}
	after, err := p.cpu()
	return (after - before).Seconds() * 1e6 / float64(sc.Requests), err
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
