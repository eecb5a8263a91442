package probabilisticsamplerprocessor

import (
	"strings"
	"testing"
)

func TestTraceStates(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	many := strings.Repeat("a=b,", 31)
	for text, want := range map[string]string{ // "": invalid, with nothing in it
		"a=b":                               "a=b",
		" a=b ,\tc@d=e,,":                   "a=b,c@d=e",
		"x=y,ot=th:8":                       "ot=th:8,x=y",
		"ot=k:v;th:08;rv:ABCDEFABCDEFAB;z:": "ot=rv:ABCDEFABCDEFAB;th:08;k:v;z:",
		"ot=th:8,ot=rv:11111111111111":      "ot=rv:11111111111111",
		"ot=th:zz;k:v":                      "!ot=k:v",
		"ot=th:8;rv:1":                      "!ot=th:8",
		"ot=th:8;":                          "!",
		"ot=" + long[:257]:                  "!",
		"ot":                                "!",
		"a":                                 "!",
		"=b":                                "!",
		"a=":                                "!",
		"a=b=c":                             "!",
		"A=b":                               "!",
		"a@=b":                              "!",
		"@a=b":                              "!",
		"1a=b":                              "!",
		"1a@b=c":                            "1a@b=c",
		"a@1=c":                             "!",
		"a=\x7f":                            "!",
		"a=" + long[:256]:                   "a=" + long[:256],
		"a=" + long[:257]:                   "!",
		long[:257] + "=b":                   "!",
		long[:242] + "@x=b":                 "!",
		"x@" + long[:15] + "=b":             "!",
		many[:len(many)-1]:                  many[:len(many)-1],
		many + "c=d":                        "!" + many[:len(many)-1],
		strings.Repeat("a=b,", 257):         "!",
	} {
		var s traceState
		valid := s.parse([]byte(text))
		got := string(s.append(nil))
		if !valid {
			got = "!" + got
		}
		if got != want {
			t.Errorf("%.60q: got %.60q, want %.60q", text, got, want)
		}
	}
}

// What is written is read as the same.
func FuzzTraceState(f *testing.F) {
	for _, text := range []string{"", "a=b", "ot=th:8;rv:11111111111111;k:v,x=y", "ot=;", " a=b ,"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var s, again traceState
		if !s.parse(text) {
			return
		}
		written := s.append(nil)
		if !again.parse(written) || again.information != s.information || string(again.append(nil)) != string(written) {
			t.Errorf("%q, then %q, then %q", text, written, again.append(nil))
		}
	})
}
