// Command speed measures the CPU time that processors take for logs: contrib's,
// between the decoding of the request and the encoding of the result, and
// penstock's, over the bytes of the request, its check on arrival included. Both
// process the same requests of 1000 logs in alternating rounds of one process.
//
//	go run ./speed
//	go run ./speed -rounds 3 -logs 100
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/oracle"
	"github.com/penstock-telemetry/penstock/otlp"
)

func main() {
	logs := flag.Int("logs", 1000, "logs in a request")
	rounds := flag.Int("rounds", 9, "rounds of each side; the fastest counts")
	span := flag.Duration("round", 200*time.Millisecond, "CPU time of a round, about")
	flag.Parse()
	if !run(*logs, *rounds, *span) {
		os.Exit(1)
	}
}

// run prints the table. It reports whether all scenarios were measured.
func run(logs, rounds int, span time.Duration) bool {
	complete := true
	request := request(logs)
	fmt.Printf("%d logs in a request of %d bytes, %d bytes a log; nanoseconds of CPU time for each log, the fastest of %d rounds\n\n",
		logs, len(request), logSize, rounds)
	fmt.Printf("%-52s %10s %10s %8s\n", "", "contrib", "penstock", "ratio")
	for _, s := range scenarios {
		contrib, penstock, err := s.measure(request, logs, rounds, span)
		if err != nil {
			fmt.Printf("%-52s %.160s\n", s.name, err)
			complete = false
			continue
		}
		fmt.Printf("%-52s %10.0f %10.0f %7.1fx\n", s.name, contrib, penstock, contrib/penstock)
	}
	return complete
}

// measure returns the CPU time for each log.
func (s scenario) measure(request []byte, logs, rounds int, span time.Duration) (contrib, penstock float64, err error) {
	c := oracle.Component{Kind: oracle.Processor, Type: s.processor, Signal: otlp.Logs, Settings: s.settings}
	a, err := oracle.NewContrib(c)
	if err != nil {
		return 0, 0, fmt.Errorf("create contrib's: %w", err)
	}
	defer func() { _ = a.Close() }()
	b, err := oracle.NewNative(c)
	if err != nil {
		return 0, 0, fmt.Errorf("create penstock's: %w", err)
	}
	defer func() { _ = b.Close() }()
	if list := (oracle.Comparison{Unordered: true}).Differences(a.Process(request), b.Process(request)); len(list) > 0 {
		return 0, 0, fmt.Errorf("the results differ: %s", list[0])
	}
	sides := [2]side{{instance: oracle.Unchecked(a)}, {instance: oracle.Unchecked(b)}}
	for range rounds {
		for i := range sides {
			if err := sides[i].round(request, span); err != nil {
				return 0, 0, err
			}
		}
	}
	return sides[0].fastest() / float64(logs), sides[1].fastest() / float64(logs), nil
}

// A side is one of the two instances with what was measured of it.
type side struct {
	instance oracle.Instance
	// n is the number of requests of a round.
	n     int
	times []float64
}

// round processes requests for about span of CPU time.
func (s *side) round(request []byte, span time.Duration) error {
	if s.n == 0 {
		s.n = 1
		if err := s.process(request, 3); err != nil { // caches and pools
			return err
		}
		before := cpuTime()
		if err := s.process(request, 4); err != nil {
			return err
		}
		s.n = max(1, int(4*span/max(cpuTime()-before, time.Microsecond)))
	}
	before := cpuTime()
	if err := s.process(request, s.n); err != nil {
		return err
	}
	s.times = append(s.times, float64(cpuTime()-before)/float64(s.n))
	return nil
}

func (s *side) process(request []byte, n int) error {
	for range n {
		if r := s.instance.Process(request); r.Err != nil {
			return fmt.Errorf("process: %w", r.Err)
		}
	}
	return nil
}

func (s *side) fastest() float64 { return slices.Min(s.times) }
