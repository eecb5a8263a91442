package otlpclient

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
)

// maxErrorBytes is as much as is read of a refusal's body.
const maxErrorBytes = 64 << 10

// readAnswer reads an answer with a status of success. Whatever is wrong with its body,
// the request was taken; only a body that is too long is an error, for which the request
// is not sent again (OTLP specification 1.11, "OTLP/HTTP Response").
func readAnswer(resp *http.Response) (Answer, *Error) {
	body, err := readAtMost(resp.Body, maxResponseBytes)
	switch kind := mediaType(resp); {
	case errors.Is(err, errLongAnswer):
		return Answer{}, &Error{Code: codes.ResourceExhausted, HTTPStatus: resp.StatusCode, Err: fmt.Errorf("read the answer: %w", err)}
	case err != nil:
		return Answer{Warning: fmt.Errorf("read the answer: %w", err)}, nil
	case len(body) == 0:
		return Answer{}, nil
	case kind == jsonContentType && resp.Request.Header.Get("Content-Type") == kind:
		return settleJSON(body), nil
	case kind != contentType:
		return Answer{Warning: fmt.Errorf("the answer's content type is %q, expected %s", printable([]byte(kind)), contentType)}, nil
	}
	return settle(body), nil
}

var errLongAnswer = errors.New("it is too long")

// readAtMost reads r to its end, which lets the connection be used again.
func readAtMost(r io.Reader, maxBytes int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(maxBytes)+1))
	if err == nil && len(b) > maxBytes {
		err = fmt.Errorf("%w: longer than %d bytes", errLongAnswer, maxBytes)
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
		return fmt.Errorf("%s: the redirect to %q is not followed, only 307 and 308 within a host are, %d in a row",
			status, printable([]byte(to)), maxRedirects)
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
