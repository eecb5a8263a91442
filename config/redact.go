package config

import (
	"regexp"
	"strings"
)

// RedactURLs returns text with the secrets of all URLs in it as [REDACTED]: the user,
// with or without a password, and the values of the query. The text may be a URL that
// net/url does not accept, or have several in it.
func RedactURLs(text string) string {
	if !strings.Contains(text, "//") {
		return text
	}
	return urls.ReplaceAllStringFunc(text, func(found string) string {
		m := urls.FindStringSubmatch(found)
		user, path, query := m[2], m[3], m[5]
		if user != "" {
			user = redacted + "@"
		}
		if m[4] != "" {
			path += "?" + redactQuery(query)
		}
		return m[1] + user + path
	})
}

// urls matches a URL in text: the slashes of its scheme, the user, what follows, and
// the query. A password may contain a slash or an @, although it must not; the
// user ends with the last @.
var urls = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)([^\s"'<>?#]*@)?([^\s"'<>?#]*)(\?([^\s"'<>#]*))?`)

func redactQuery(query string) string {
	if query == "" {
		return ""
	}
	parts := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
	for i, p := range parts {
		if name, _, found := strings.Cut(p, "="); found {
			parts[i] = name + "=" + redacted
		}
	}
	return strings.Join(parts, "&")
}
