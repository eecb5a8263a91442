package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/internal/pprofconv"
)

// printList prints a line for each profile, and a further line for each of its sample
// types after the first.
func (f *convertFlags) printList(w io.Writer, name string, in *convertInput) error {
	list, err := f.profiles(in)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	t := table{rightOf: map[int]bool{0: true, 3: true, 4: true}}
	t.add("#", "RESOURCE", "TYPE", "SAMPLES", "TOTAL", "TIME")
	for i, n := range list {
		resource := n.Name
		if resource == "" {
			resource = "-"
		}
		number, when := fmt.Sprint(i+1), timeOf(n.Profile)
		kind := kindNote(n.Profile)
		for j, v := range n.Profile.SampleType {
			samples, total := totalOf(n.Profile, j)
			t.add(number, resource, v.Type+"/"+v.Unit+kind, fmt.Sprint(samples), amount(total, v.Unit), when)
			number, resource, when = "", "", ""
		}
	}
	_, err = io.WriteString(w, t.String())
	return err
}

// totalOf returns the number of samples with a value of this type, and the sum of the
// values.
func totalOf(p *profile.Profile, sampleType int) (samples int, total int64) {
	for _, s := range p.Sample {
		if v := s.Value[sampleType]; v != 0 {
			samples++
			total += v
		}
	}
	return samples, total
}

func typesOf(p *profile.Profile) string {
	var types []string
	for _, v := range p.SampleType {
		types = append(types, v.Type+"/"+v.Unit)
	}
	return strings.Join(types, ", ") + kindNote(p)
}

// kindNote distinguishes profiles with the same sample types: " (mutex)".
func kindNote(p *profile.Profile) string {
	kinds := pprofconv.KindsOf(p)
	if len(kinds) == 0 {
		return ""
	}
	return " (" + strings.Join(kinds, ", ") + ")"
}

func timeOf(p *profile.Profile) string {
	if p.TimeNanos == 0 {
		return "-"
	}
	s := time.Unix(0, p.TimeNanos).UTC().Format("2006-01-02 15:04:05Z")
	if p.DurationNanos > 0 {
		s += " + " + time.Duration(p.DurationNanos).Round(time.Millisecond).String()
	}
	return s
}

// amount formats a number according to its unit.
func amount(n int64, unit string) string {
	switch unit {
	case "nanoseconds", "ns":
		d := time.Duration(n)
		for _, step := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
			if d.Abs() >= step {
				return d.Round(step / 100).String()
			}
		}
		return d.String()
	case "bytes", "By":
		f, i := float64(n), 0
		for ; (f >= 1024 || f <= -1024) && i < 6; i++ {
			f /= 1024
		}
		if i == 0 {
			return fmt.Sprintf("%d B", n)
		}
		return fmt.Sprintf("%.1f %ciB", f, " KMGTPE"[i])
	}
	return fmt.Sprint(n)
}

// table aligns cells in columns.
type table struct {
	rightOf map[int]bool // columns of numbers
	rows    [][]string
	widths  []int
}

func (t *table) add(cells ...string) {
	for i, c := range cells {
		if i == len(t.widths) {
			t.widths = append(t.widths, 0)
		}
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(c))
	}
	t.rows = append(t.rows, cells)
}

func (t *table) String() string {
	var s strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(c))
			if i > 0 {
				line.WriteString("  ")
			}
			if t.rightOf[i] {
				line.WriteString(pad + c)
			} else {
				line.WriteString(c + pad)
			}
		}
		s.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return s.String()
}
