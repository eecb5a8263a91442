package debugexporter

import (
	"bytes"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

// details prints what the Collector's line of an item does not have, after it, so that
// searches for the Collector's text continue to work:
//
//	GET /cart 5b8efff798038103d269b633813fc60c eee19b7ec3c1b174 http.route=/cart [time=… duration=12.5ms kind=Server]
type details struct {
	p    *printer
	some bool
}

func (p *printer) details() details { return details{p: p} }

// add begins a detail.
func (d *details) add(name string) *printer {
	sep := " "
	if !d.some {
		sep = " ["
	}
	d.some = true
	d.p.s(sep).s(name).s("=")
	return d.p
}

// time adds a time, unless it is not known.
func (d *details) time(ns uint64) {
	if ns != 0 {
		d.add("time").stamp(ns)
	}
}

// id adds an id, unless it is not set.
func (d *details) id(name string, id []byte) {
	if len(id) > 0 {
		d.add(name).hex(id)
	}
}

func (d *details) count(name string, n int) {
	if n > 0 {
		d.add(name).int(int64(n))
	}
}

// end ends the line.
func (d *details) end() *text {
	if d.some {
		d.p.s("]")
	}
	return d.p.nl()
}

// stamp prints a time like RFC 3339.
func (t *text) stamp(ns uint64) *text {
	return t.bytes(time.Unix(0, int64(ns)).UTC().AppendFormat(t.small[:0], "2006-01-02T15:04:05.999999999Z07:00"))
}

func (t *text) duration(ns uint64) *text { return t.s(time.Duration(ns).String()) }

// status prints a status code with its message.
func (t *text) status(f otlp.StatusFields) *text {
	t.s(enumName(f.Code.String(), "STATUS_CODE_"))
	if len(f.Message) > 0 {
		t.s(" (").str(f.Message).s(")")
	}
	return t
}

// severity prints the text of the sender, and the number if the text is not its name.
func (t *text) severity(f otlp.LogRecordFields) *text {
	name := enumName(f.SeverityNumber.String(), "SEVERITY_NUMBER_")
	switch {
	case len(f.SeverityText) == 0:
		return t.s(name)
	case f.SeverityNumber == otlp.SeverityNumberUnspecified || bytes.EqualFold(f.SeverityText, []byte(name)):
		return t.str(f.SeverityText)
	}
	return t.str(f.SeverityText).s(" (").s(name).s(")")
}
