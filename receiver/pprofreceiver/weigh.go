package pprofreceiver

import (
	"fmt"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// What the parser makes of a message, in bytes: the structs of google/pprof on 64
// bits, pointers to them in lists that grow (to up to three times what they hold,
// while they are moved), and entries in maps of all messages of a kind. A test
// compares the sums with the heap.
const (
	pointerWeight = 24
	indexWeight   = 8 + 2*40 // by id: a list, and two maps
	numberWeight  = 3 * 8    // in a list that grows

	valueTypeWeight = 48 + pointerWeight
	sampleWeight    = 128 + pointerWeight
	mappingWeight   = 112 + pointerWeight + indexWeight
	locationWeight  = 64 + pointerWeight + indexWeight
	functionWeight  = 96 + pointerWeight + indexWeight
	stringWeight    = 16 + 40    // the rest of its block, and its header in a list
	commentWeight   = 3*8 + 3*16 // a number, and a header
	lineWeight      = 32 + 2*8   // and what a block has too much
	longestWeight   = 3 * 32     // a line of the longest location, which grows elsewhere
	idWeight        = numberWeight + 8
	labelWeight     = 96 + 56 // in a list that grows, and in a list of values of its key
	labelMapWeight  = 400     // a map of up to 8 labels
	labelMapsWeight = 300     // a label in three larger maps
)

// weigher adds up what the parser will take.
type weigher struct {
	total   int
	longest int // lines of a location
	err     error
}

// weigh returns an upper bound of the memory that the parser takes for a profile.
// Bytes that it does not understand are refused: the parser might.
func weigh(data []byte) (int, error) {
	var w weigher
	c := wire.Cursor{Buf: data}
	for c.Next() {
		switch c.Num {
		case 1, 11:
			w.total += valueTypeWeight
		case 2:
			w.total += sampleWeight
			w.sample(c.Bytes)
		case 3:
			w.total += mappingWeight
		case 4:
			w.total += locationWeight
			w.location(c.Bytes)
		case 5:
			w.total += functionWeight
		case 6:
			w.total += stringWeight + len(c.Bytes) + len(c.Bytes)/4
		case 13:
			w.total += commentWeight * numbers(&c)
		}
		w.note(c.Err)
	}
	w.note(c.Err)
	if w.err != nil {
		return 0, &failure{causeNotPprof, fmt.Errorf("parse the profile: expected pprof in protobuf (it begins %q): %w", data[:min(len(data), 32)], w.err)}
	}
	return w.total + longestWeight*w.longest, nil
}

func (w *weigher) note(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *weigher) sample(b []byte) {
	labels, texts, others := 0, 0, 0
	c := wire.Cursor{Buf: b}
	for c.Next() {
		switch c.Num {
		case 1:
			w.total += idWeight * numbers(&c)
		case 2:
			w.total += numberWeight * numbers(&c)
		case 3:
			labels++
			if w.isText(c.Bytes) {
				texts = 1
			} else {
				others = 2
			}
		}
	}
	w.note(c.Err)
	w.total += labelWeight * labels
	if labels > 8 {
		w.total += labelMapsWeight * labels
	} else {
		w.total += labelMapWeight * (texts + others)
	}
}

// isText reports whether a label has a text: then it is in one map, else in two.
func (w *weigher) isText(b []byte) (is bool) {
	c := wire.Cursor{Buf: b}
	for c.Next() {
		if c.Num == 2 {
			is = c.Scalar != 0
		}
	}
	w.note(c.Err)
	return is
}

func (w *weigher) location(b []byte) {
	lines := 0
	c := wire.Cursor{Buf: b}
	for c.Next() {
		if c.Num == 4 {
			lines++
		}
	}
	w.note(c.Err)
	w.total += lineWeight * lines
	w.longest = max(w.longest, lines)
}

// numbers returns how many numbers the field is that c is at: one, or packed ones.
func numbers(c *wire.Cursor) int {
	if c.Type != wire.TypeBytes {
		return 1
	}
	n := 0
	for _, b := range c.Bytes {
		if b < 0x80 { // the last byte of a number
			n++
		}
	}
	return n
}

// What reporting a profile takes beside it, in bytes: a location is in the baseline,
// in two maps by its pointer, and with each of its lines an interned frame.
const (
	perFrame       = 400
	perLocation    = 300 + perFrame
	perSample      = 450
	perSampleID    = 8
	perSampleValue = 16
	perLabel       = 64
)

// workOf returns an upper bound of the memory that is needed to report a profile: its
// samples as a baseline, and its locations as frames. A text counts each time that it
// is referred to, since baselines and frames hold copies: a location has all of its
// functions' names.
func workOf(p *profile.Profile) int {
	n := 0
	for _, l := range p.Location {
		n += perLocation + perFrame*len(l.Line) + 2*textOfLocation(l)
	}
	for _, s := range p.Sample {
		n += perSample + perSampleID*len(s.Location) + perSampleValue*len(s.Value) + 2*textOfLabels(s)
	}
	comments := 0
	for _, c := range p.Comments {
		comments += len(c) + perLabel
	}
	comments += len(p.DocURL) + len(p.DropFrames) + len(p.KeepFrames) + len(p.DefaultSampleType)
	for _, t := range p.SampleType {
		n += 2*(len(t.Type)+len(t.Unit)) + 2*comments
	}
	return n
}

func textOfLocation(l *profile.Location) (n int) {
	if m := l.Mapping; m != nil {
		n += len(m.File) + len(m.BuildID)
	}
	for i := range l.Line {
		if f := l.Line[i].Function; f != nil {
			n += len(f.Name) + len(f.SystemName) + len(f.Filename)
		}
	}
	return n
}

func textOfLabels(s *profile.Sample) (n int) {
	for key, list := range s.Label {
		for _, v := range list {
			n += len(key) + len(v) + perLabel
		}
	}
	for key, list := range s.NumLabel {
		n += len(list) * (len(key) + perLabel)
		for _, unit := range s.NumUnit[key] {
			n += len(unit)
		}
	}
	return n
}

// What reporting a profile can add to reporter.OTLPReporter.MemoryBytes, in bytes: the
// window has a stack for each sample, a number for each of its values, its labels, and
// the frames.
const (
	reportedFrame  = 400 * 5
	reportedSample = 512 * 5
	reportedID     = 8 * 5
	reportedValue  = 64
	reportedText   = 5
	reportedFixed  = 640 << 10 // parts of the log
)

// The reporter's bounds. A window is half of maxWindowBytes. A profile that is larger
// waits for the window to be written, and for the requests to be passed on.
const (
	maxWindowBytes  = 32 << 20
	maxPendingBytes = 64 << 20
)

// maxReportedBytes is the most that the reporter holds, however large the profile is: six
// times the window (itself, and what it is made into), 32 bytes for each event of 12 in
// its log, and what is pending.
const maxReportedBytes = maxWindowBytes/2*(6+3) + maxPendingBytes

// reportedBytes returns an upper bound of what a reporter holds more with a profile.
func reportedBytes(p *profile.Profile) int {
	n := reportedFixed
	for _, l := range p.Location {
		n += reportedFrame*max(len(l.Line), 1) + reportedText*textOfLocation(l)
	}
	for _, s := range p.Sample {
		n += reportedSample + reportedID*len(s.Location) + reportedValue*len(s.Value) + reportedText*textOfLabels(s)
	}
	return n
}
