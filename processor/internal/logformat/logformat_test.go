package logformat_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/processor/internal/logformat"
)

func text(v any) string {
	switch v := v.(type) {
	case *logformat.Map:
		var list []string
		for _, k := range v.Keys() {
			list = append(list, k+"="+text(v.Get(k)))
		}
		return "{" + strings.Join(list, " ") + "}"
	case logformat.List:
		var list []string
		for _, e := range v {
			list = append(list, text(e))
		}
		return "[" + strings.Join(list, " ") + "]"
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

func clf(s string) (*logformat.Map, error)      { return logformat.CLF(s, false) }
func combined(s string) (*logformat.Map, error) { return logformat.CLF(s, true) }

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		parse       func(string) (*logformat.Map, error)
		input, want string // an error if it does not begin with {
	}{
		{clf, `127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326` + "\n",
			`{clf.remote_host="127.0.0.1" clf.rfc931="-" clf.auth_user="frank" clf.timestamp="10/Oct/2000:13:55:36 -0700" clf.request="GET /a.gif HTTP/1.0" clf.method="GET" clf.request_uri="/a.gif" clf.protocol="HTTP/1.0" clf.status=200 clf.bytes=2326}`},
		{clf, `h - - [t] "-" 408 -`, `{clf.remote_host="h" clf.rfc931="-" clf.auth_user="-" clf.timestamp="t" clf.request="-" clf.status=408}`},
		{clf, `h - - [t] "a\"b\\\x41\q\x" 1 -`, `{clf.remote_host="h" clf.rfc931="-" clf.auth_user="-" clf.timestamp="t" clf.request="a\"b\\A\\q\\x" clf.status=1}`},
		{clf, `h - - [t] "-" abc 1`, `status: strconv.ParseInt: parsing "abc": invalid syntax`},
		{clf, `h - - [t] "-" 200 x`, `bytes: strconv.ParseInt: parsing "x": invalid syntax`},
		{clf, `h - - [t] "-" 200 1 "r" "a"`, `expected host ident user [time] "request" status bytes`},
		{clf, `h - - [] "-" 200 1`, `expected host ident user [time] "request" status bytes`},
		{combined, `h - - [t] "-" 200 1 "r" "a \"b\""`, `{clf.remote_host="h" clf.rfc931="-" clf.auth_user="-" clf.timestamp="t" clf.request="-" clf.status=200 clf.bytes=1 clf.referer="r" clf.user_agent="a \"b\""}`},
		{combined, `h - - [t] "-" 200 1`, `expected host ident user [time] "request" status bytes "referer" "user agent"`},

		{logformat.CEF, `Oct 12 host CEF:0|Vendor|Prod\|uct|1.0|100|a\\b|10|src=1.2.3.4 msg=a b\=c\nd  dst=x src=y`,
			`{cef.version="0" cef.device_vendor="Vendor" cef.device_product="Prod|uct" cef.device_version="1.0" cef.device_event_class_id="100" cef.name="a\\b" cef.severity="10" cef.extensions={src="y" msg="a b=c\nd" dst="x"}}`},
		{logformat.CEF, `CEF:1|||||| `, `{cef.version="1" cef.device_vendor="" cef.device_product="" cef.device_version="" cef.device_event_class_id="" cef.name="" cef.severity=" " cef.extensions={}}`},
		{logformat.CEF, `CEF:1|||||`, `expected 7 fields between pipes, found 6`},
		{logformat.CEF, `CEF:|||||||`, `the version is empty`},
		{logformat.CEF, `cef`, `the message has no header "CEF:"`},

		{logformat.LEEF, "LEEF:1.0|V|P|1|id|a=1\tb=x=y\tbad\t=c\ta=2", `{leef.version="1.0" leef.vendor="V" leef.product.name="P" leef.product.version="1" leef.event.id="id" leef.attributes={a="2" b="x=y"}}`},
		{logformat.LEEF, "x LEEF:2.0|V|P|1|id|^|a=1^b=2|3", `{leef.version="2.0" leef.vendor="V" leef.product.name="P" leef.product.version="1" leef.event.id="id" leef.attributes={a="1" b="2|3"}}`},
		{logformat.LEEF, "LEEF:2.0|V|P|1|id|0x7C|a=1|b=2", `{leef.version="2.0" leef.vendor="V" leef.product.name="P" leef.product.version="1" leef.event.id="id" leef.attributes={a="1" b="2"}}`},
		{logformat.LEEF, "LEEF:2.0|V|P|1|id|a=1\tb=2|3", `{leef.version="2.0" leef.vendor="V" leef.product.name="P" leef.product.version="1" leef.event.id="id" leef.attributes={a="1" b="2|3"}}`},
		{logformat.LEEF, "LEEF:2.0|V|P|1|id", `{leef.version="2.0" leef.vendor="V" leef.product.name="P" leef.product.version="1" leef.event.id="id" leef.attributes={}}`},
		{logformat.LEEF, "LEEF:2.0|V|P|1|id|ab|x", `delimiter "ab": expected one character, or 0x and two hexadecimal digits`},
		{logformat.LEEF, "LEEF:3.0|V|P|1|id|", `unknown version "3.0", expected 1.0 or 2.0`},
		{logformat.LEEF, "LEEF:1.0|V|P", `expected 4 fields between pipes behind the version, found 2`},
		{logformat.LEEF, "LEEF:1.0", `the header has no pipe`},
		{logformat.LEEF, "", `the message has no header "LEEF:"`},

		{logformat.ELF, "#Version: 1.0\r\n#Fields: time cs-uri x\r\n#Remark\r\n00:34 \"a \"\"b\"\"\"\r\n\r\n1 2 3 4\n#Fields: a\n5",
			`{elf.entries=[{time="00:34" cs-uri="a \"b\"" x="-"} {time="1" cs-uri="2" x="3"} {a="5"}] elf.version="1.0" elf.fields=["a"]}`},
		{logformat.ELF, "#version:1.0", `{elf.entries=[] elf.version="1.0" elf.fields=[]}`},
		{logformat.ELF, "#Fields: a\n1", `the directive #Version is missing`},
		{logformat.ELF, "#Version: 1.0\n1", `an entry stands before the directive #Fields`},
		{logformat.ELF, "#Fields a", `the directive #Fields has no colon`},
		{logformat.ELF, "#Version: 1.0\n#Fields: a\n\"x", `a quoted value has no end`},
	} {
		m, err := c.parse(c.input)
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = text(m)
		}
		if got != c.want {
			t.Errorf("%.80q\n got %.400s\nwant %s", c.input, got, c.want)
		}
	}
}

// TestELFIsBounded: a short line has a value for each field of a long one.
func TestELFIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("#Version: 1.0\n#Fields:")
	for i := range 5000 {
		fmt.Fprintf(&b, " f%d", i)
	}
	b.WriteString(strings.Repeat("\nx", 10_000))
	if _, err := logformat.ELF(b.String()); err == nil || err.Error() != "the entries are more than 64 times as large as the text" {
		t.Errorf("got %v", err)
	}
}

const quoted = `"((?:[^"\\]|\\.)*)"`

// The formats as the Collector has them.
var patterns = map[bool]*regexp.Regexp{
	false: regexp.MustCompile(`^(\S+) (\S+) (\S+) \[([^\]]+)\] ` + quoted + ` (\S+) (\S+)$`),
	true:  regexp.MustCompile(`^(\S+) (\S+) (\S+) \[([^\]]+)\] ` + quoted + ` (\S+) (\S+) ` + quoted + ` ` + quoted + `$`),
}

// FuzzFormats: what is parsed is a valid map within its Size, and CLF takes what a regular
// expression takes.
func FuzzFormats(f *testing.F) {
	f.Add(`127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326`)
	f.Add(`h - - [t] "-\xff" 200 1 "r" "a \"b\""`)
	f.Add(`CEF:0|Vendor|Prod\|uct|1.0|100|a\\b|10|src=1.2.3.4 msg=a b\=c\nd  dst=x src=y`)
	f.Add("LEEF:2.0|V|P|1|id|0xff|a=1\xffb=2\xc3")
	f.Add("#Version: 1.0\r\n#Fields: time cs-uri x\r\n00:34 \"a \"\"b\"\"\"\r\n")
	f.Fuzz(func(t *testing.T, line string) {
		for _, parse := range []func(string) (*logformat.Map, error){clf, combined, logformat.CEF, logformat.LEEF, logformat.ELF} {
			m, err := parse(line)
			if err != nil {
				continue
			}
			var enc wire.Encoder
			m.Append(&enc)
			if len(enc.Buf) > m.Size() {
				t.Errorf("%d bytes, Size is %d", len(enc.Buf), m.Size())
			}
			if c := (wire.Cursor{Buf: enc.Buf}); !walks(&c) {
				t.Errorf("not a list of entries: %v", c.Err)
			}
		}
		for _, long := range []bool{false, true} {
			p := patterns[long].FindStringSubmatch(strings.TrimSpace(line))
			m, err := logformat.CLF(line, long)
			if formatError := err != nil && strings.HasPrefix(err.Error(), "expected"); formatError == (p != nil) {
				t.Errorf("combined %t: got %v, a regular expression finds %t", long, err, p != nil)
			}
			if err == nil && (m.Get("clf.remote_host") != p[1] || m.Get("clf.timestamp") != p[4]) {
				t.Errorf("got %s", text(m))
			}
		}
	})
}

func walks(c *wire.Cursor) bool {
	for c.Next() {
		for kv := (wire.Cursor{Buf: c.Bytes}); kv.Next(); {
			if kv.Num == 1 && !utf8.Valid(kv.Bytes) {
				return false
			}
		}
	}
	return c.Err == nil
}
