package badinput

import (
	"fmt"
	"mime"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
)

// want is what the answer must be.
type want struct {
	outcomes []string // one of them
	codes    []int32  // of the Status over HTTP; nil: not checked
	details  []string // types that must be present; "!Type" must be absent
	message  *regexp.Regexp
	body     string   // status (default of errors), any, none
	headers  []string // "Name: value"
	retry    string   // no (default), any
}

var wantPart = regexp.MustCompile(`([a-z]+)([=~])("(?:[^"\\]|\\.)*"|\S+)`)

// parseWant reads
//
//	OUTCOME|OUTCOME code=3|8 details=BadRequest,!RetryInfo message~"regexp"
//	body=any header="Allow: POST" retry=any
//
// An outcome is an HTTP status, a gRPC code's name, or how a connection ends; see
// answer. Without retry=any, a refusal must not ask for a retry: the same bytes
// would be refused again.
func parseWant(text string) (want, error) {
	first, rest, _ := strings.Cut(text, " ")
	w := want{outcomes: strings.Split(first, "|"), retry: "no"}
	for _, o := range w.outcomes {
		if !isOutcome(o) {
			return w, fmt.Errorf("unknown outcome %q", o)
		}
	}
	parts := wantPart.FindAllStringSubmatch(rest, -1)
	if left := strings.TrimSpace(wantPart.ReplaceAllString(rest, "")); left != "" {
		return w, fmt.Errorf("expected key=value, found %q", left)
	}
	for _, p := range parts {
		value := p[3]
		if value[0] == '"' {
			var err error
			if value, err = strconv.Unquote(value); err != nil {
				return w, fmt.Errorf("%s: %w", p[1], err)
			}
		}
		if err := w.part(p[1], value); err != nil {
			return w, fmt.Errorf("%s: %w", p[1], err)
		}
	}
	return w, nil
}

func (w *want) part(key, value string) (err error) {
	switch key {
	case "code":
		for _, c := range strings.Split(value, "|") {
			n, err := strconv.ParseInt(c, 10, 32)
			if err != nil {
				return err
			}
			w.codes = append(w.codes, int32(n))
		}
	case "details":
		w.details = strings.Split(value, ",")
	case "message":
		w.message, err = regexp.Compile(value)
	case "body":
		if w.body = value; !slices.Contains([]string{"status", "any", "none"}, value) {
			return fmt.Errorf("expected status, any or none")
		}
	case "header":
		w.headers = append(w.headers, value)
	case "retry":
		if w.retry = value; value != "any" && value != "no" {
			return fmt.Errorf("expected any or no")
		}
	default:
		return fmt.Errorf("unknown key")
	}
	return err
}

func isOutcome(o string) bool {
	if n, err := strconv.Atoi(o); err == nil {
		return n >= 100 && n < 600
	}
	return slices.Contains([]string{"closed", "goaway", "rst", "h2", "ignored"}, o) || slices.Contains(codeNames(), o)
}

func codeNames() (all []string) {
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		all = append(all, c.String())
	}
	return all
}

// check returns what is wrong with a, one line each. specOnly skips what the
// specification does not require.
func (w *want) check(a *answer, c *Case, specOnly bool) (wrong []string) {
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if !slices.Contains(w.outcomes, a.outcome) {
		fail("got %s, want %s", a, strings.Join(w.outcomes, " or "))
		return wrong
	}
	if !specOnly && len(w.codes) > 0 && a.http >= 400 && w.body != "none" && w.body != "any" && !slices.Contains(w.codes, a.status.GetCode()) {
		fail("got code %d in the Status, want %v", a.status.GetCode(), w.codes)
	}
	for _, d := range w.details {
		name, absent := strings.CutPrefix(d, "!")
		if a.hasDetail(name) == absent {
			fail("got %s, want %s", a, map[bool]string{true: "no ", false: "a "}[absent]+name)
		}
	}
	if !specOnly && w.message != nil && !w.message.MatchString(a.status.GetMessage()) {
		fail("got the message %q, want ~%q", shorten(a.status.GetMessage()), w.message)
	}
	for _, h := range w.headers {
		name, value, _ := splitHeader(h)
		if got := a.header.Get(name); got != value {
			fail("got %s: %q, want %q", name, got, value)
		}
	}
	if w.retry == "no" && a.status != nil && (a.hasDetail("RetryInfo") || a.header.Get("Retry-After") != "") {
		fail("got %s that asks for a retry, Retry-After %q", a, a.header.Get("Retry-After"))
	}
	return append(wrong, w.checkBody(a, c)...)
}

// checkBody requires a google.rpc.Status in the format of the request (OTLP
// specification, "Failures"), JSON if the format is not known.
func (w *want) checkBody(a *answer, c *Case) []string {
	if c.server() == "grpc" || a.http < 400 || w.body == "any" {
		return nil
	}
	if w.body == "none" {
		if len(a.body) > 0 {
			return []string{fmt.Sprintf("got a body of %d bytes, want none", len(a.body))}
		}
		return nil
	}
	if a.noBody != nil {
		return []string{fmt.Sprintf("got %s whose body is not a Status: %v", a, a.noBody)}
	}
	if c.Transport == overRawHTTP {
		return nil // readStatus has checked the type
	}
	expected := c.answerType()
	if got := a.header.Get("Content-Type"); got != expected {
		return []string{fmt.Sprintf("got %s with Content-Type %q, want %q", a, got, expected)}
	}
	return nil
}

// answerType is the Content-Type of the answer to c.
func (c *Case) answerType() string {
	for _, h := range c.requestHeaders() {
		if name, value, _ := splitHeader(h); strings.EqualFold(name, "content-type") {
			if media, _, err := mime.ParseMediaType(value); err == nil && media == protobufType {
				return protobufType
			}
			return jsonType
		}
	}
	return jsonType
}
