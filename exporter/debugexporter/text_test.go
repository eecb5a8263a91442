package debugexporter

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

var verbosities = []Verbosity{Basic, Normal, Detailed}

func render(t testing.TB, s otlp.Signal, v Verbosity, request []byte, limit int) string {
	t.Helper()
	return string(rows[s].render(t.Context(), v, batchOf(t, s, request), limit, &memory{}))
}

// harmful returns an error for the first character of text that is neither a
// line end nor printable.
func harmful(text string) error {
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			return fmt.Errorf("byte %d, %#x, is not UTF-8", i, text[i])
		}
		if r != '\n' && !strconv.IsPrint(r) {
			return fmt.Errorf("byte %d is %U", i, r)
		}
	}
	return nil
}

// Text of a sender cannot control a terminal, hide text or begin a new line.
func TestHostileTextIsEscaped(t *testing.T) {
	evil := func(s string) string { return s + "\x1b[2J\r\nSpan #9\x00\x7f\u202e\u0085\u2028\xff\xc3\U000e0041" }
	for s, request := range requests {
		for _, v := range verbosities {
			plain := render(t, s, v, request(plainWord), maxTextBytes)
			hostile := render(t, s, v, request(evil), maxTextBytes)
			if err := harmful(hostile); err != nil {
				t.Errorf("%s %s: %v", s, v, err)
			}
			if got, want := strings.Count(hostile, "\n"), strings.Count(plain, "\n"); got != want {
				t.Errorf("%s %s: %d lines, want %d", s, v, got, want)
			}
			if v != Basic && !strings.Contains(hostile, `\x1b[2J\r\nSpan #9\x00\x7f\u202e`) {
				t.Errorf("%s %s: the text is lost", s, v)
			}
		}
	}
}

func TestEscapes(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"plain ünïcode 日本 🙂":     "plain ünïcode 日本 🙂",
		`C:\temp "x" 'y'`:        `C:\temp "x" 'y'`,
		"a\nb\tc\r":              `a\nb\tc\r`,
		"\xff\xfe":               `\xff\xfe`,
		"\u00a0\u200b\ufeff":     `\u00a0\u200b\ufeff`,
		"\ufffd":                 "\ufffd",
		strings.Repeat("x", 300): strings.Repeat("x", 300),
	} {
		x := &text{limit: 1000}
		if got := string(x.str([]byte(in)).buf); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		`"quoted" \`:   `\"quoted\" \\`,
		"a\nb\tc\r":    `a\nb\tc\u000d`,
		"\xff":         `\ufffd`,
		"\U000e0041é日": `\udb40\udc41é日`,
	} {
		x := &text{limit: 1000}
		if got := string(x.jsonString([]byte(in)).buf); got != want {
			t.Errorf("%q as JSON: got %s, want %s", in, got, want)
		}
	}
}

func TestDoubles(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.5: "0.5", 1e6: "1000000", 1e20: "100000000000000000000", 1e21: "1e+21", 1e-7: "1e-07",
		math.Inf(1): "Infinity", math.Inf(-1): "-Infinity", -2: "-2",
	} {
		x := &text{limit: 100}
		if got := string(x.double(v).buf); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	x := &text{limit: 100}
	if got := string(x.double(math.NaN()).buf); got != "NaN" {
		t.Errorf("got %s", got)
	}
}

func TestLongBytesAndIDs(t *testing.T) {
	long := bytes.Repeat([]byte{0, 1, 2, 0xff}, 250)
	x := &text{limit: 10_000}
	if got, want := string(x.hex(long).buf), fmt.Sprintf("%x", long); got != want {
		t.Errorf("hex: got %s", got)
	}
	x = &text{limit: 10_000}
	if got, want := string(x.base64(long).buf), "AAEC/wABAv8AAQL/"; !strings.HasPrefix(got, want) || len(got) != (1000+2)/3*4 {
		t.Errorf("base64: got %s", got)
	}
}

// For every limit the output is a prefix of the complete text, with a note of
// how much is missing.
func TestLimit(t *testing.T) {
	for s, request := range requests {
		for _, v := range []Verbosity{Normal, Detailed} {
			r := request(plainWord)
			whole := render(t, s, v, r, maxTextBytes)
			for limit := 0; limit < len(whole); limit += 3 {
				got := render(t, s, v, r, limit)
				body, note, ok := strings.Cut(got, "\n[truncated after ")
				if !ok || body != whole[:limit] {
					t.Fatalf("%s %s, limit %d: got\n%s", s, v, limit, got)
				}
				if want := fmt.Sprintf("%d bytes: ", limit); !strings.HasPrefix(note, want) || !strings.HasSuffix(note, " are complete]\n") {
					t.Fatalf("%s %s, limit %d: %s", s, v, limit, note)
				}
			}
			if got := render(t, s, v, r, len(whole)); got != whole {
				t.Errorf("%s %s: truncated although it fits", s, v)
			}
		}
	}
}

func TestLimitDoesNotSplitCharacters(t *testing.T) {
	r := tracesRequest(func(s string) string { return "日🙂é" + s })
	for limit := range 300 {
		if err := harmful(render(t, otlp.Traces, Normal, r, limit)); err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

func TestLimitCountsWhatIsShown(t *testing.T) {
	spans := func(n int) []byte {
		var e otlp.Encoder
		for range 2 {
			in(otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans(), func(rs otlp.ResourceSpansBuilder) {
				in(rs.AddScopeSpans(), func(ss otlp.ScopeSpansBuilder) {
					for range n {
						in(ss.AddSpans(), func(s otlp.SpanBuilder) { s.SetName(strings.Repeat("x", 997)) })
					}
				})
			})
		}
		return e.Buf
	}
	got := render(t, otlp.Traces, Normal, spans(600), 1_000_000)
	if want := "[truncated after 1000000 bytes: 999 of 1200 spans are complete]\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got ...%s", got[len(got)-100:])
	}
	for s, want := range map[otlp.Signal]string{
		otlp.Metrics: "0 of 6 metrics", otlp.Logs: "0 of 2 log records", otlp.Profiles: "0 of 2 profiles",
	} {
		if got := render(t, s, Detailed, requests[s](plainWord), 10); !strings.Contains(got, want) {
			t.Errorf("%s: got %s", s, got)
		}
	}
}

// An entry of the dictionary may be large, and a reference to it is a single
// byte. The work is limited like the text.
func TestWorkIsBounded(t *testing.T) {
	var e otlp.Encoder
	r := otlp.AppendExportProfilesServiceRequest(&e)
	in(r.SetDictionary(), func(d otlp.ProfilesDictionaryBuilder) {
		d.AddFunctionTable().Close()
		in(d.AddFunctionTable(), func(f otlp.FunctionBuilder) { f.Raw(bytes.Repeat([]byte{0x78, 0}, 1<<19)) })
		d.AddLocationTable().Close()
		in(d.AddLocationTable(), func(l otlp.LocationBuilder) {
			in(l.AddLines(), func(n otlp.LineBuilder) { n.SetFunctionIndex(1) })
		})
		d.AddStackTable().Close()
		in(d.AddStackTable(), func(s otlp.StackBuilder) {
			s.Raw(append([]byte{0x0a, 0xa0, 0x8d, 0x06}, bytes.Repeat([]byte{1}, 100_000)...))
		})
	})
	in(r.AddResourceProfiles(), func(rp otlp.ResourceProfilesBuilder) {
		in(rp.AddScopeProfiles(), func(sp otlp.ScopeProfilesBuilder) {
			in(sp.AddProfiles(), func(p otlp.ProfileBuilder) {
				in(p.AddSamples(), func(s otlp.SampleBuilder) { s.SetStackIndex(1) })
			})
		})
	})
	got := render(t, otlp.Profiles, Detailed, e.Buf, maxTextBytes)
	if len(got) > 100_000 || !strings.Contains(got, "0 of 1 profiles are complete") {
		t.Errorf("%d bytes were printed; each line needs to read a megabyte", len(got))
	}
}

// Every request that otlp.Check accepts can be shown, escaped and within the
// limit.
func FuzzRender(f *testing.F) {
	for s, request := range requests {
		f.Add(byte(s), request(plainWord))
	}
	f.Add(byte(otlp.Profiles), testkit.ProfilerPayloads(f)["oncpu-001.binpb"])
	f.Fuzz(func(t *testing.T, signal byte, request []byte) {
		s := otlp.Signal(signal)
		if _, err := otlp.Check(s, request); err != nil {
			return
		}
		for _, v := range verbosities {
			got := render(t, s, v, request, 5000)
			if err := harmful(got); err != nil {
				t.Error(err)
			}
			if len(got) > 5000+200 {
				t.Errorf("%d bytes", len(got))
			}
		}
	})
}
