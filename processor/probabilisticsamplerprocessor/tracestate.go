package probabilisticsamplerprocessor

import "bytes"

// Limits of a tracestate (https://www.w3.org/TR/trace-context, the specification of
// OpenTelemetry for ot).
const (
	maxStateBytes  = 1024
	maxMembers     = 32
	maxKeyBytes    = 256
	maxTenantBytes = 241
	maxSystemBytes = 14
	maxValueBytes  = 256
)

// traceState is a tracestate. Its texts point into the one that was parsed.
type traceState struct {
	information
	rv, th []byte   // as they were parsed; nil: none, or another value
	others [][]byte // members of other vendors
	ot     [][]byte // members of ot, without rv and th
}

// parse reads text and reports whether it is valid. Of an invalid one there is what was
// read before.
func (s *traceState) parse(text []byte) (ok bool) {
	*s = traceState{others: s.others[:0], ot: s.ot[:0]}
	if len(text) > maxStateBytes || !validState(text) {
		return false
	}
	ok = true
	for items := 1; len(text) > 0; items++ {
		if items >= maxMembers {
			return false
		}
		var member []byte
		member, text = next(text, ',')
		member = bytes.Trim(member, " \t")
		key, value, found := bytes.Cut(member, []byte{'='})
		switch tenant, system, multi := bytes.Cut(key, []byte{'@'}); {
		case !found:
		case len(key) > maxKeyBytes, multi && (len(tenant) > maxTenantBytes || len(system) > maxSystemBytes):
			ok = false
		case string(key) == "ot":
			ok = s.parseOT(value) && ok
		default:
			s.others = append(s.others, member)
		}
	}
	return ok
}

// parseOT reads the value of ot, in place of one before.
func (s *traceState) parseOT(text []byte) (ok bool) {
	s.information, s.rv, s.th, s.ot = information{}, nil, nil, s.ot[:0]
	if len(text) > maxValueBytes || !validOT(text) {
		return false
	}
	ok = true
	for len(text) > 0 {
		var member []byte
		member, text = next(text, ';')
		switch key, value, _ := bytes.Cut(member, []byte{':'}); string(key) {
		case "rv":
			if s.randomness, s.hasRandomness = parseRandomness(value); s.hasRandomness {
				s.rv = value
			} else {
				s.rv, ok = nil, false
			}
		case "th":
			if s.threshold, s.hasThreshold = parseThreshold(value); s.hasThreshold {
				s.th = value
			} else {
				s.th, ok = nil, false
			}
		default:
			s.ot = append(s.ot, member)
		}
	}
	return ok
}

// append writes the tracestate: ot first, then the others in their order.
func (s *traceState) append(b []byte) []byte {
	begin := len(b)
	separate := func(c byte) {
		if len(b) > begin {
			b = append(b, c)
		}
	}
	if s.hasRandomness || s.hasThreshold || len(s.ot) > 0 {
		b = append(b, "ot="...)
		begin = len(b)
		if s.hasRandomness {
			b = append(b, "rv:"...)
			if s.rv != nil {
				b = append(b, s.rv...)
			} else {
				b = appendRandomness(b, s.randomness)
			}
		}
		if s.hasThreshold {
			separate(';')
			b = append(b, "th:"...)
			if s.th != nil {
				b = append(b, s.th...)
			} else {
				b = appendThreshold(b, s.threshold)
			}
		}
		for _, m := range s.ot {
			separate(';')
			b = append(b, m...)
		}
		begin -= len("ot=")
	}
	for _, m := range s.others {
		separate(',')
		b = append(b, m...)
	}
	return b
}

// next returns what is before the first separator, and what is after it.
func next(text []byte, separator byte) (member, rest []byte) {
	member, rest, _ = bytes.Cut(text, []byte{separator})
	return member, rest
}

// validState reports whether each member is empty, or a key and a value.
func validState(text []byte) bool {
	for len(text) > 0 {
		var member []byte
		member, text = next(text, ',')
		if member = bytes.Trim(member, " \t"); len(member) == 0 {
			continue
		}
		key, value, found := bytes.Cut(member, []byte{'='})
		if !found || !validKey(key) || !validValue(value) {
			return false
		}
	}
	return true
}

func validKey(key []byte) bool {
	tenant, system, multi := bytes.Cut(key, []byte{'@'})
	if !multi {
		return len(key) > 0 && isLetter(key[0]) && all(key, isKeyByte)
	}
	return len(tenant) > 0 && (isLetter(tenant[0]) || isDigit(tenant[0])) && all(tenant, isKeyByte) &&
		len(system) > 0 && isLetter(system[0]) && all(system, isKeyByte)
}

func validValue(value []byte) bool {
	n := len(value)
	return n > 0 && n <= maxValueBytes && value[n-1] != ' ' && all(value, func(c byte) bool { return c >= ' ' && c <= '~' && c != ',' && c != '=' })
}

// validOT reports whether the value of ot has the form key:value;key:value.
func validOT(text []byte) bool {
	if len(text) == 0 || text[len(text)-1] == ';' {
		return false
	}
	for len(text) > 0 {
		var member []byte
		member, text = next(text, ';')
		key, value, found := bytes.Cut(member, []byte{':'})
		if !found || len(key) == 0 || !isLetter(key[0]) || !all(key, isLetterOrDigit) || !all(value, isOTByte) {
			return false
		}
	}
	return true
}

func all(text []byte, is func(byte) bool) bool {
	for _, c := range text {
		if !is(c) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool        { return c >= 'a' && c <= 'z' }
func isDigit(c byte) bool         { return c >= '0' && c <= '9' }
func isLetterOrDigit(c byte) bool { return isLetter(c) || isDigit(c) }
func isKeyByte(c byte) bool {
	return isLetterOrDigit(c) || c == '_' || c == '-' || c == '*' || c == '/'
}
func isOTByte(c byte) bool {
	return isLetterOrDigit(c) || c >= 'A' && c <= 'Z' || c == '.' || c == '_' || c == '-'
}
