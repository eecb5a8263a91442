package config

import "testing"

func TestRedactURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                   "",
		"localhost:4317":                     "localhost:4317",
		"http://localhost:4318/v1/logs":      "http://localhost:4318/v1/logs",
		"http://me:secret@localhost:4318/x":  "http://[REDACTED]@localhost:4318/x",
		"https://token@host":                 "https://[REDACTED]@host",
		"http://me:p@ss/word@host/path":      "http://[REDACTED]@host/path",
		"https://host/x?key=secret&other=1":  "https://host/x?key=[REDACTED]&other=[REDACTED]",
		"post http://a:b@c/d: EOF":           "post http://[REDACTED]@c/d: EOF",
		"http://a:b@c, then http://d:e@f/g?": "http://[REDACTED]@c, then http://[REDACTED]@f/g?",
	} {
		if got := RedactURLs(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
