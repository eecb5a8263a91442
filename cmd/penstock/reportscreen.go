package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/receiver/pprofreceiver"
	"github.com/penstock-telemetry/penstock/reporter"
)

// maxReportRows is the maximum number of targets in the table; those with errors are first.
const maxReportRows = 20

// reportScreen shows progress: on a terminal as a table that is redrawn, otherwise line by
// line. Log lines are printed above the table.
type reportScreen struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	began    time.Time
	table    []string // on the terminal now
}

func newReportScreen(w io.Writer, terminal bool) *reportScreen {
	return &reportScreen{w: w, terminal: terminal, began: time.Now()}
}

// refresh returns the interval between updates: a second for a terminal.
func (s *reportScreen) refresh(interval time.Duration) time.Duration {
	if s.terminal {
		return time.Second
	}
	return interval
}

// show prints the progress. It ignores write errors, since progress is not essential.
func (s *reportScreen) show(all []pprofreceiver.TargetStatus, sent reporter.Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.terminal {
		fmt.Fprintln(s.w, reportLine(time.Since(s.began), all, sent))
		return
	}
	s.erase()
	s.table = append(reportTable(all), reportTotals(sent))
	s.draw()
}

// Write prints a log line above the table.
func (s *reportScreen) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	n, err := s.w.Write(line)
	s.draw()
	return n, err
}

// clear removes the table.
func (s *reportScreen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.table = nil
}

// erase moves the cursor to the start of the table and clears the screen from there
// (ECMA-48, CPL and ED).
func (s *reportScreen) erase() {
	if len(s.table) > 0 {
		fmt.Fprintf(s.w, "\x1b[%dF\x1b[J", len(s.table))
	}
}

func (s *reportScreen) draw() {
	for _, line := range s.table {
		fmt.Fprintln(s.w, clip(line, 120)) // must not wrap
	}
}

// reportLine returns the progress in one line.
func reportLine(elapsed time.Duration, all []pprofreceiver.TargetStatus, sent reporter.Flow) string {
	var fetches, failed int64
	failing := 0
	for _, s := range all {
		fetches, failed = fetches+s.Fetches, failed+s.Failures
		if s.Problem != "" {
			failing++
		}
	}
	line := fmt.Sprintf("%4.0f s  %s  %s", elapsed.Seconds(), count(len(all), "target"), fetchesOf(fetches, failed))
	if failing > 0 {
		line += fmt.Sprintf("  %d failing", failing)
	}
	return line + "  " + reportTotals(sent)
}

func fetchCount(n int64) string {
	if n == 1 {
		return "1 fetch"
	}
	return fmt.Sprintf("%d fetches", n)
}

func fetchesOf(n, failed int64) string {
	if failed == 0 {
		return fetchCount(n)
	}
	return fmt.Sprintf("%s (%d failed)", fetchCount(n), failed)
}

// reportTotals returns the counts of samples in one line.
func reportTotals(sent reporter.Flow) string {
	line := fmt.Sprintf("%d samples: %d sent, %d held", sent.Reported+sent.Restored, sent.Acknowledged, sent.Held)
	for _, why := range slices.Sorted(maps.Keys(sent.Dropped)) {
		line += fmt.Sprintf(", %d dropped (%s)", sent.Dropped[why], why)
	}
	return line
}

// reportTable returns a line for each target.
func reportTable(all []pprofreceiver.TargetStatus) (lines []string) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b pprofreceiver.TargetStatus) int {
		return cmp.Compare(min(len(b.Problem), 1), min(len(a.Problem), 1))
	})
	shown := all[:min(len(all), maxReportRows)]
	width := 0
	for _, s := range shown {
		width = max(width, len(s.Name))
	}
	for _, s := range shown {
		last, state := "never", "waiting"
		if !s.Last.IsZero() {
			last, state = s.Last.Format(time.TimeOnly), "ok"
		}
		if s.Problem != "" {
			state = s.Problem
		}
		lines = append(lines, fmt.Sprintf("%-*s  last %-8s  %s  %d samples  %s", width, s.Name, last, fetchesOf(s.Fetches, s.Failures), s.Numbers, state))
	}
	if left := len(all) - len(shown); left > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", left))
	}
	return lines
}

// clip shortens a line to a number of runes and removes control characters.
func clip(line string, runes int) string {
	clean := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line))
	return string(clean[:min(len(clean), runes)])
}
