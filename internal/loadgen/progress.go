package loadgen

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Progress is how a run is doing.
type Progress struct {
	Elapsed time.Duration
	Counts
	// ItemsPerSecond were acknowledged since the last time; at the end of the
	// run, on average.
	ItemsPerSecond float64
	// UnderWay is the number of requests that are not answered yet, Behind of
	// those that are due and not sent.
	UnderWay int
	Behind   uint64
}

func (p Progress) String() string {
	s := fmt.Sprintf("%4.0f s  %d items acknowledged  %.0f/s  %d requests under way", p.Elapsed.Seconds(), p.ItemsAcknowledged, p.ItemsPerSecond, p.UnderWay)
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

// ProgressPrinter writes progress: over and over in one line of a terminal, else
// line by line.
type ProgressPrinter struct {
	w        io.Writer
	terminal bool
	width    int // of the line that stands there
}

// NewProgressPrinter returns a printer to w.
func NewProgressPrinter(w io.Writer, terminal bool) *ProgressPrinter {
	return &ProgressPrinter{w: w, terminal: terminal}
}

// Print shows p. What cannot be written is lost: the report matters, not this.
func (pp *ProgressPrinter) Print(p Progress) {
	line := p.String()
	if !pp.terminal {
		fmt.Fprintln(pp.w, line)
		return
	}
	// Blanks go over what is left of a longer line: every terminal knows those.
	fmt.Fprintf(pp.w, "\r%s%s", line, strings.Repeat(" ", max(pp.width-len(line), 0)))
	pp.width = len(line)
}

// Finish leaves the line behind.
func (pp *ProgressPrinter) Finish() {
	if pp.width > 0 {
		fmt.Fprintln(pp.w)
		pp.width = 0
	}
}
