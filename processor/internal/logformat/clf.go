package logformat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var errCLF = errors.New(`expected host ident user [time] "request" status bytes`)

var errCombined = errors.New(`expected host ident user [time] "request" status bytes "referer" "user agent"`)

// CLF parses a line of the Common Log Format; combined: with a referer and a user agent.
func CLF(line string, combined bool) (*Map, error) {
	wrong := errCLF
	if combined {
		wrong = errCombined
	}
	r := reader{rest: strings.TrimSpace(line)}
	host, ident, user := r.word(), r.word(), r.word()
	time := r.bracketed()
	request := r.quoted()
	r.skip(' ')
	status := r.word()
	bytes := r.lastWord()
	var referer, agent string
	if combined {
		r.skip(' ')
		referer = r.quoted()
		r.skip(' ')
		agent = r.quoted()
	}
	if r.failed || r.rest != "" {
		return nil, wrong
	}
	m := &Map{}
	m.put("clf.remote_host", host)
	m.put("clf.rfc931", ident)
	m.put("clf.auth_user", user)
	m.put("clf.timestamp", time)
	request = unescape(request)
	m.put("clf.request", request)
	if p := strings.SplitN(request, " ", 3); len(p) == 3 {
		m.put("clf.method", p[0])
		m.put("clf.request_uri", p[1])
		m.put("clf.protocol", p[2])
	}
	if err := m.putInt("clf.status", status); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if bytes != "-" {
		if err := m.putInt("clf.bytes", bytes); err != nil {
			return nil, fmt.Errorf("bytes: %w", err)
		}
	}
	if combined {
		m.put("clf.referer", unescape(referer))
		m.put("clf.user_agent", unescape(agent))
	}
	return m, nil
}

func (m *Map) putInt(key, text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	m.put(key, n)
	return err
}

// reader takes a line apart.
type reader struct {
	rest   string
	failed bool
}

// skip skips a byte.
func (r *reader) skip(c byte) {
	if r.rest == "" || r.rest[0] != c {
		r.failed = true
		return
	}
	r.rest = r.rest[1:]
}

// word returns the text before the next space, and skips both.
func (r *reader) word() string {
	w := r.lastWord()
	r.skip(' ')
	return w
}

// lastWord returns the text before the next space or the end.
func (r *reader) lastWord() string {
	i := strings.IndexAny(r.rest, " \t\n\f\r")
	if i < 0 {
		i = len(r.rest)
	}
	if i == 0 {
		r.failed = true
		return ""
	}
	w := r.rest[:i]
	r.rest = r.rest[i:]
	return w
}

// bracketed returns what is between brackets, and skips the space behind.
func (r *reader) bracketed() string {
	r.skip('[')
	i := strings.IndexByte(r.rest, ']')
	if i <= 0 {
		r.failed = true
		return ""
	}
	w := r.rest[:i]
	r.rest = r.rest[i+1:]
	r.skip(' ')
	return w
}

// quoted returns what is between quotes, with its escapes.
func (r *reader) quoted() string {
	r.skip('"')
	for i := 0; i < len(r.rest); i++ {
		switch r.rest[i] {
		case '"':
			w := r.rest[:i]
			r.rest = r.rest[i+1:]
			return w
		case '\\':
			if i++; i < len(r.rest) && r.rest[i] == '\n' {
				r.failed = true
				return ""
			}
		}
	}
	r.failed = true
	return ""
}

// escapes are what stands for the control characters that C has escapes for.
var escapes = map[byte]byte{'\\': '\\', '"': '"', 'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', 'v': '\v'}

// unescape replaces the escapes of Apache and nginx: \" \\ \n … \xhh. Others stay.
func unescape(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for ; i >= 0; i = strings.IndexByte(s, '\\') {
		b, s = append(b, s[:i]...), s[i:]
		if len(s) == 1 {
			break
		}
		if c, ok := escapes[s[1]]; ok {
			b, s = append(b, c), s[2:]
			continue
		}
		if s[1] == 'x' && len(s) >= 4 {
			if v, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
				b, s = append(b, byte(v)), s[4:]
				continue
			}
		}
		b, s = append(b, s[:2]...), s[2:]
	}
	return string(append(b, s...))
}
