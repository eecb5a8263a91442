package loadgen

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Progress is the progress of a run.
type Progress struct {
	Elapsed time.Duration
	Counts
	// ItemsPerSecond is the rate of acknowledged items since the last report; in the
	// last report, that of the whole run.
	ItemsPerSecond float64
	// InFlight is the number of requests without a response, Behind the number of those
	// that are due and not sent.
	InFlight int
	Behind   uint64
}

func (p Progress) String() string {
	s := fmt.Sprintf("%4.0f s  %d items acknowledged  %.0f/s  %d requests in flight", p.Elapsed.Seconds(), p.ItemsAcknowledged, p.ItemsPerSecond, p.InFlight)
	if p.RequestsFailed > 0 {
		s += fmt.Sprintf("  %d failed", p.RequestsFailed)
	}
	if p.ItemsRejected > 0 {
		s += fmt.Sprintf("  %d items rejected", p.ItemsRejected)
	}
	if p.Behind > 0 {
		s += fmt.Sprintf("  %d behind", p.Behind)
	}
	return s
}

// ProgressPrinter prints progress: in a terminal always in the same line, otherwise line
// by line.
type ProgressPrinter struct {
	w        io.Writer
	terminal bool
	width    int // of the current line
}

// NewProgressPrinter returns a printer to w.
func NewProgressPrinter(w io.Writer, terminal bool) *ProgressPrinter {
	return &ProgressPrinter{w: w, terminal: terminal}
}

// Print prints p. It ignores write errors, since progress is not essential.
func (pp *ProgressPrinter) Print(p Progress) {
	line := p.String()
	if !pp.terminal {
		fmt.Fprintln(pp.w, line)
		return
	}
	// Spaces overwrite the rest of a longer line, in every terminal.
	fmt.Fprintf(pp.w, "\r%s%s", line, strings.Repeat(" ", max(pp.width-len(line), 0)))
	pp.width = len(line)
}

// Finish ends the current line.
func (pp *ProgressPrinter) Finish() {
	if pp.width > 0 {
		fmt.Fprintln(pp.w)
		pp.width = 0
	}
}
