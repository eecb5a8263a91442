package config

import (
	"net/url"
	"strings"
	"testing"
)

func TestRedactURLs(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"localhost:4317":              "localhost:4317",
		"http://host:4318/path":       "http://host:4318/path",
		"http://ann:s3cret@host:4318": "http://REDACTED@host:4318",
		"https://s3cret@host/a@b":     "https://REDACTED@b", // what is before the last @ could be the password
		"http://host/@tag":            "http://host/@tag",
		"http://host/p?seconds=5&key=s3cret&s3cret":                          "http://host/p?seconds=5&key=REDACTED&REDACTED",
		"http://ann:s3/cret@host:4318/v1":                                    "http://REDACTED@host:4318/v1",
		"http://ann:s3cret%zz@host":                                          "http://REDACTED@host",
		"http://ann:s3@cret@host?k=s3cret":                                   "http://REDACTED@host?k=REDACTED",
		"socks5://ann:s3cret@proxy:1080":                                     "socks5://REDACTED@proxy:1080",
		"dns:///ann:s3cret@host:4317":                                        "dns:///REDACTED@host:4317",
		"http://me:p@ss/word@host/path":                                      "http://REDACTED@host/path",
		"post http://a:b@c/d: EOF":                                           "post http://REDACTED@c/d: EOF",
		"http://a:b@c, then http://d:e@f/g?":                                 "http://REDACTED@c, then http://REDACTED@f/g?",
		"http://ann:12/s3cret@host":                                          "http://REDACTED@host",
		"unix:///run/otel.sock":                                              "unix:///run/otel.sock",
		`Post "http://ann:s3cret@a:1/x": dial tcp, then http://bob:s3cret@b`: `Post "http://REDACTED@a:1/x": dial tcp, then http://REDACTED@b`,
	} {
		got := RedactURLs(text)
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
		if u, err := url.Parse(text); err == nil && !strings.Contains(text, " ") && u.Scheme != "" && RedactURL(u) != want {
			t.Errorf("%s: got %s, want %s", text, RedactURL(u), want)
		}
		if u, err := url.Parse(want); err != nil && !strings.Contains(want, " ") {
			t.Errorf("%s is not a URL that can be read again: %v", u, err)
		}
	}
	if RedactURL(nil) != "" {
		t.Error("a URL that is missing has a text")
	}
}

// Errors of endpoints do not have their secrets.
func TestErrorsOfEndpointsHideSecrets(t *testing.T) {
	for _, endpoint := range []string{
		"ftp://ann:s3cret@host", "http://ann:s3cret@", "http://ann:s3cret@host:99999", "http://ann:s3cret@host#x", "http://ann:s3cret@ho st", "ann:s3cret@host:4318",
		"https://s3cret@host:99999", "https://host:99999?key=s3cret", "grpc://ann:s3cret@host:4317", "dns:///ann:s3cret@host:4317", "http://ann:s3cret@host/x", "host/x?key=s3cret//",
	} {
		for name, err := range map[string]error{
			"http":  second(ParseHTTPEndpoint(endpoint)),
			"grpc":  second(ParseGRPCTarget(endpoint)),
			"proxy": second(ParseProxyURL(endpoint)),
		} {
			if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "ann")) {
				t.Errorf("%s %s: %v", name, endpoint, err)
			}
		}
	}
	if _, err := ParseGRPCTarget("dns:///ann:s3cret@host:4317"); err == nil {
		t.Error("a gRPC endpoint with a user is accepted")
	}
}

func second[T any](_ T, err error) error { return err }
