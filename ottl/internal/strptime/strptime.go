// Package strptime formats and parses times by directives such as %Y-%m-%dT%H:%M:%S, with
// the directives and the tolerance of the Collector: numbers may have one digit or two and
// spaces before them, and %z takes the offsets +0100, +01:00, +01 and Z.
package strptime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// directives are what stands for each directive in a layout of package time.
var directives = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'o': "_1", 'q': "1", 'b': "Jan", 'h': "Jan", 'B': "January", 'd': "02", 'e': "_2", 'g': "2", 'a': "Mon", 'A': "Monday",
	'H': "15", 'l': "3", 'I': "03", 'p': "PM", 'P': "pm", 'M': "04", 'S': "05", 'L': "999", 'f': "999999", 's': "999999999",
	'Z': "MST", 'z': "Z0700", 'w': "-070000", 'i': "-07", 'j': "-07:00", 'k': "-07:00:00",
	'D': "01/02/2006", 'x': "01/02/2006", 'F': "2006-01-02", 'T': "15:04:05", 'X': "15:04:05", 'r': "03:04:05 pm", 'R': "15:04",
	'n': "\n", 't': "\t", '%': "%", 'c': "Mon Jan 02 15:04:05 2006",
}

// parsed are the alternatives with which a time is parsed, where these are not the layout
// of directives, each in its elements.
var parsed = map[byte][][]string{
	'm': {{"1"}}, 'o': {{"1"}}, 'q': {{"1"}}, 'd': {{"2"}}, 'e': {{"2"}}, 'g': {{"2"}}, 'I': {{"3"}}, 'M': {{"4"}}, 'S': {{"5"}},
	'D': {{"1", "/", "2", "/", "2006"}, {"1", "/", "2", "/", "06"}}, 'x': {{"1", "/", "2", "/", "2006"}, {"1", "/", "2", "/", "06"}},
	'F': {{"2006", "-", "1", "-", "2"}}, 'T': {{"15", ":", "4", ":", "5"}}, 'X': {{"15", ":", "4", ":", "5"}},
	'r': {{"3", ":", "4", ":", "5", " ", "pm"}}, 'R': {{"15", ":", "4"}}, 'z': {{"Z0700"}, {"Z07:00"}, {"Z07"}},
	'c': {{"Mon", " ", "Jan", " ", "2", " ", "15", ":", "4", ":", "5", " ", "2006"}},
}

// Format is a format of times. It may be used by several goroutines.
type Format struct {
	layout string // of package time, to format
	parts  []part
	last   atomic.Pointer[string] // the layout that parsed a time before
}

// part is a directive, or the text between directives.
type part struct {
	text         string
	alternatives [][]string // of a directive
}

// Compile returns the format of a text with directives.
func Compile(text string) (*Format, error) {
	if text == "" {
		return nil, errors.New("the format of a time is empty")
	}
	if i := strings.IndexAny(text, "0123456789"); i >= 0 {
		return nil, fmt.Errorf("the format of a time has the digit %q, expected directives such as %%Y", text[i:i+1])
	}
	f := &Format{}
	for rest := text; rest != ""; {
		at := strings.IndexByte(rest, '%')
		if at < 0 || at == len(rest)-1 {
			at = len(rest)
		}
		if at > 0 {
			f.layout += rest[:at]
			f.parts = append(f.parts, part{text: rest[:at]})
			rest = rest[at:]
			continue
		}
		d := rest[1]
		layout, ok := directives[d]
		switch before := text[:len(text)-len(rest)]; {
		case !ok:
			return nil, fmt.Errorf("the format of a time has the unknown directive %q", rest[:2])
		case strings.IndexByte("Lfs", d) >= 0 && before != "" && !strings.HasSuffix(before, ".") && !strings.HasSuffix(before, ","):
			return nil, fmt.Errorf(`the directive %%%c is behind %q, expected "." or ","`, d, before[len(before)-1:])
		}
		alternatives := parsed[d]
		if alternatives == nil {
			alternatives = [][]string{{layout}}
		}
		f.layout += layout
		f.parts = append(f.parts, part{text: rest[:2], alternatives: alternatives})
		rest = rest[2:]
	}
	return f, nil
}

// Append appends a time.
func (f *Format) Append(dst []byte, t time.Time) []byte { return t.AppendFormat(dst, f.layout) }

// Location returns the location of times whose text has none: the named one, UTC if the
// format ends with Z, or the local one.
func Location(name, format string) (*time.Location, error) {
	switch {
	case name != "":
		return time.LoadLocation(name)
	case strings.HasSuffix(format, "Z"):
		return time.UTC, nil
	}
	return time.Local, nil
}

// Parse returns the time of a text. One without a year is of the present year, or of the
// last one if it were more than a week after now.
func (f *Format) Parse(text string, location *time.Location, now time.Time) (time.Time, error) {
	parse := func(layout string) (time.Time, error) { return parseIn(layout, text, location) }
	if last := f.last.Load(); last != nil {
		if t, err := parse(*last); err == nil {
			return withYear(t, now), nil
		}
	}
	s := search{parse: parse, left: maxAttempts}
	t, layout, err := s.from("", f.parts)
	if err != nil {
		return time.Time{}, err
	}
	f.last.Store(&layout)
	return withYear(t, now), nil
}

// maxAttempts bounds how many layouts are tried.
const maxAttempts = 500

// search finds the layout of a text.
type search struct {
	parse func(layout string) (time.Time, error)
	left  int
}

// from parses with a layout and each way to add the parts to it.
func (s *search) from(layout string, parts []part) (t time.Time, used string, err error) {
	for len(parts) > 0 && parts[0].alternatives == nil {
		layout += parts[0].text
		parts = parts[1:]
	}
	if len(parts) == 0 {
		if s.left--; s.left < 0 {
			return t, "", errors.New("the time matches its format in none of the ways that were tried")
		}
		t, err = s.parse(layout)
		return t, layout, err
	}
	for _, elements := range parts[0].alternatives {
		var failed bool
		if t, used, failed, err = s.with(layout, elements, parts); !failed {
			break
		}
	}
	return t, used, err
}

// with parses with one alternative of the first part. failed reports whether an error is
// that of this part.
func (s *search) with(layout string, elements []string, parts []part) (t time.Time, used string, failed bool, err error) {
	for {
		t, used, err = s.from(layout+strings.Join(elements, ""), parts[1:])
		var mismatch *time.ParseError
		if !errors.As(err, &mismatch) {
			return t, used, false, err
		}
		i := -1
		if mismatch.LayoutElem != "" {
			i = slices.Index(elements, mismatch.LayoutElem)
		}
		if i < 0 {
			return t, used, false, err
		}
		mismatch.LayoutElem = parts[0].text
		spaces := mismatch.ValueElem[:len(mismatch.ValueElem)-len(strings.TrimLeft(mismatch.ValueElem, " \t\n\f\r"))]
		if c := elements[i][0]; spaces == "" || (c < '0' || c > '9') && c != 'Z' {
			return t, used, true, err
		}
		elements = slices.Insert(slices.Clone(elements), i, spaces)
	}
}

// parseIn is time.ParseInLocation, with the offset of abbreviated zones that the system knows.
func parseIn(layout, text string, location *time.Location) (time.Time, error) {
	t, err := time.ParseInLocation(layout, text, location)
	if err != nil {
		return t, err
	}
	zone, offset := t.Zone()
	if here, _ := t.In(location).Zone(); offset != 0 || zone == "UTC" || zone == here {
		return t, nil
	}
	known, err := time.LoadLocation(zone)
	if err != nil {
		return t, fmt.Errorf("the time zone %q is unknown: %w", zone, err)
	}
	if again, err := time.ParseInLocation(layout, text, known); err == nil {
		return again, nil
	}
	return t, nil
}

func withYear(t, now time.Time) time.Time {
	if t.Year() > 0 {
		return t
	}
	d := time.Date(now.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	if d.After(now.AddDate(0, 0, 7)) {
		d = d.AddDate(-1, 0, 0)
	}
	return d
}
