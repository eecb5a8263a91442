package otlpclient

import (
	"net/http"
	"net/url"
)

// maxRedirects is how many redirects of a request are followed.
const maxRedirects = 5

// redirect returns where a response sends the same request, nil if it does not, or not
// to where it may go: 307 and 308 keep method and body (RFC 9110, sections 15.4.8 and
// 15.4.9), and a request with credentials stays at its host. It may change from http to
// https there, which is the most frequent reason.
func redirect(resp *http.Response) *url.URL {
	if resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect {
		return nil
	}
	from := resp.Request.URL
	to, err := resp.Location()
	if err != nil || to.Hostname() != from.Hostname() {
		return nil
	}
	if to.Scheme != from.Scheme || portOf(to) != portOf(from) {
		if from.Scheme != "http" || to.Scheme != "https" {
			return nil
		}
	}
	to.User = from.User
	return to
}

func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
