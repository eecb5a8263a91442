package config

import (
	"net/url"
	"regexp"
	"strings"
)

// redactedInURL replaces secrets in URLs: unlike [REDACTED], it is valid there.
const redactedInURL = "REDACTED"

// RedactURL returns u as text for logs, errors and pages, without its secrets: the
// user, with or without a password, and the values of the query, except for short
// numbers, are replaced by REDACTED.
func RedactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	if strings.Contains(u.Path, "@") && (u.Host == "" || u.User != nil || u.Port() != "") {
		return redactText(u.String()) // a part of a user that net/url takes for the path
	}
	shown := *u
	if u.User != nil {
		shown.User = url.User(redactedInURL)
	}
	shown.RawQuery = redactQuery(u.RawQuery)
	return shown.String()
}

// RedactURLs returns text with the secrets of all URLs in it redacted, as RedactURL
// does. They need not be valid.
func RedactURLs(text string) string {
	if !strings.Contains(text, "//") {
		return text
	}
	return urlsInText.ReplaceAllStringFunc(text, func(found string) string {
		if u, err := url.Parse(found); err == nil {
			return RedactURL(u)
		}
		return redactText(found)
	})
}

// redactText redacts a URL that net/url does not understand: what is before the last
// @, and the query.
func redactText(text string) string {
	scheme, rest := "", text
	if i := strings.Index(text, "://"); i >= 0 {
		scheme, rest = text[:i+3], text[i+3:]
	}
	rest, query, asks := strings.Cut(rest, "?")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		slashes := rest[:len(rest)-len(strings.TrimLeft(rest, "/"))]
		rest = slashes + redactedInURL + rest[i:]
	}
	if asks {
		rest += "?" + redactQuery(query)
	}
	return scheme + rest
}

var urlsInText = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]*`)

// redactQuery replaces the values of a query by REDACTED. Short numbers, such as the
// seconds of a profile, are not secrets.
func redactQuery(query string) string {
	if query == "" {
		return ""
	}
	parts := strings.Split(query, "&")
	for i, p := range parts {
		name, value, found := strings.Cut(p, "=")
		switch {
		case len(value) <= 4 && strings.Trim(value, "0123456789") == "" && (found || len(p) <= 4):
		case found:
			parts[i] = name + "=" + redactedInURL
		default:
			parts[i] = redactedInURL
		}
	}
	return strings.Join(parts, "&")
}
