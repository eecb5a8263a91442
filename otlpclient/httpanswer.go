package otlpclient

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// maxErrorBytes is as much as is read of a refusal's body.
const maxErrorBytes = 64 << 10

// readAnswer reads an answer with a status of success. Whatever is wrong with its body,
// the request was taken.
func readAnswer(resp *http.Response) Answer {
	body, err := readAtMost(resp.Body, maxResponseBytes)
	switch kind := mediaType(resp); {
	case err != nil:
		return Answer{Warning: fmt.Errorf("read the answer: %w", err)}
	case len(body) == 0:
		return Answer{}
	case kind == jsonContentType && resp.Request.Header.Get("Content-Type") == kind:
		return settleJSON(body)
	case kind != contentType:
		return Answer{Warning: fmt.Errorf("the answer's content type is %q, expected %s", printable([]byte(kind)), contentType)}
	}
	return settle(body)
}

// readAtMost reads r to its end, which lets the connection be used again.
func readAtMost(r io.Reader, maxBytes int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(maxBytes)+1))
	if err == nil && len(b) > maxBytes {
		err = fmt.Errorf("it is longer than %d bytes", maxBytes)
	}
	return b, err
}

// refusal describes an answer with another status, with the destination's message if
// there is one.
func refusal(resp *http.Response) error {
	status := fmt.Sprintf("HTTP status %d", resp.StatusCode)
	if text := http.StatusText(resp.StatusCode); text != "" {
		status += " " + text
	}
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 {
		return fmt.Errorf("%s: redirects are not followed, this one leads to %q", status, printable([]byte(to)))
	}
	body, err := readAtMost(resp.Body, maxErrorBytes)
	if err != nil && len(body) == 0 {
		return errors.New(status)
	}
	words := printable(body)
	switch kind := mediaType(resp); {
	case kind == contentType:
		words, _ = decodeStatus(body)
	case strings.HasPrefix(kind, "text/plain"), strings.HasSuffix(kind, "json"), kind == "":
	default: // a page made for people
		words = ""
	}
	if words = strings.TrimSpace(words); words == "" {
		return errors.New(status)
	}
	return fmt.Errorf("%s: %s", status, words)
}

func mediaType(resp *http.Response) string {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return resp.Header.Get("Content-Type")
	}
	return kind
}
