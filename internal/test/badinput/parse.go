package badinput

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// keys are the keys of a case; header and each may be repeated.
var keys = map[string]struct{}{
	"over":     {}, // transports, see transports
	"signal":   {}, // all, or names
	"each":     {}, // "each NAME: a b c", or one "label = value" a line below
	"format":   {}, // protobuf (default) or json
	"method":   {}, // POST is the default
	"path":     {}, // $path is the default, over grpc $rpc
	"encoding": {}, // Content-Encoding, or grpc-encoding
	"header":   {}, // "Name: value", or "-Name" to leave it out
	"padding":  {}, // a header of so many bytes
	"framing":  {}, // raw: body has its own gRPC prefix
	"body":     {}, // an expression
	"want":     {}, // see parseWant
	"metric":   {}, // see parseMetric
	"conn":     {}, // open, any; open is the default except for raw transports and 413
	"after":    {}, // shut: close the sending side after raw bytes
	"source":   {}, // where the rule comes from
}

// setting is one line "key transport: value".
type setting struct {
	key, transport string
	value          string
	rows           []row // of each
	line           int
}

// row is one value of an each.
type row struct{ label, value string }

// template is a case as written, before it is expanded.
type template struct {
	name     string
	line     int
	settings []setting // the case's own, before the file's
	lets     map[string]string
}

var (
	letLine     = regexp.MustCompile(`^let ([a-z_]+) = (.+)$`)
	caseLine    = regexp.MustCompile(`^case ([a-z0-9.-]+)$`)
	eachLine    = regexp.MustCompile(`^each ([a-z_]+):\s*(.*)$`)
	settingLine = regexp.MustCompile(`^([a-z]+)(?: ([a-z0-9]+))?:\s*(.*)$`)
	rowLine     = regexp.MustCompile(`^([A-Za-z0-9_.+-]+) =(?: (.*))?$`)
)

// fileParser reads a file line by line.
type fileParser struct {
	name     string
	lets     map[string]string
	defaults []setting
	cases    []template
	inCase   bool
}

func parseFile(name, text string) ([]template, error) {
	p := &fileParser{name: name, lets: map[string]string{}}
	for i, line := range strings.Split(text, "\n") {
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if err := p.line(strings.TrimRight(line, " \t\r"), i+1); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	for i := range p.cases { // a default may follow the case
		p.cases[i].lets = p.lets
		p.cases[i].settings = append(p.cases[i].settings, p.defaults...)
	}
	return p.cases, nil
}

func (p *fileParser) line(line string, number int) error {
	text := strings.TrimSpace(line)
	if text == line { // not indented: about the file
		if m := letLine.FindStringSubmatch(line); m != nil {
			if _, twice := p.lets[m[1]]; twice {
				return fmt.Errorf("let %s occurs twice", m[1])
			}
			p.lets[m[1]] = m[2]
			return nil
		}
		if m := caseLine.FindStringSubmatch(line); m != nil {
			p.cases, p.inCase = append(p.cases, template{name: m[1], line: number}), true
			return nil
		}
		s, err := parseSetting(line, number)
		if err != nil {
			return err
		}
		if p.inCase {
			return fmt.Errorf("expected the default %q before the first case", s.key)
		}
		p.defaults = append(p.defaults, s)
		return nil
	}
	if !p.inCase {
		return fmt.Errorf("expected a case above the indented %q", text)
	}
	c := &p.cases[len(p.cases)-1]
	if strings.HasPrefix(line, "    ") { // a row of the each above
		m := rowLine.FindStringSubmatch(text)
		if m == nil || len(c.settings) == 0 || c.settings[len(c.settings)-1].key != "each" {
			return fmt.Errorf("expected a row \"label = value\" below an each, found %q", text)
		}
		last := &c.settings[len(c.settings)-1]
		last.rows = append(last.rows, row{m[1], m[2]})
		return nil
	}
	s, err := parseSetting(text, number)
	if err != nil {
		return err
	}
	c.settings = append(c.settings, s)
	return nil
}

func parseSetting(text string, number int) (setting, error) {
	if m := eachLine.FindStringSubmatch(text); m != nil {
		s := setting{key: "each", value: m[1], line: number}
		for _, v := range strings.Fields(m[2]) {
			s.rows = append(s.rows, row{v, v})
		}
		return s, nil
	}
	m := settingLine.FindStringSubmatch(text)
	if m == nil {
		return setting{}, fmt.Errorf("expected \"key: value\", \"case name\" or \"let name = value\", found %q", text)
	}
	if _, known := keys[m[1]]; !known {
		return setting{}, fmt.Errorf("unknown key %q, expected one of %s", m[1], strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
	}
	return setting{key: m[1], transport: m[2], value: m[3], line: number}, nil
}
