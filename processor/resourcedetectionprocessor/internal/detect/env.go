package detect

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// envPair matches key=value with the comma behind it, or at the end of the text, as the
// Collector does.
var envPair = regexp.MustCompile(`\s*([[:ascii:]]{1,256}?)\s*=\s*([[:ascii:]]{0,256}?)\s*(?:,|$)`)

// detectEnv reads OTEL_RESOURCE_ATTRIBUTES, or OTEL_RESOURCE, its older name. As in the
// Collector, OTEL_SERVICE_NAME is not read: it is the name of this process, and would
// replace that of the senders.
func detectEnv(_ context.Context, h *Host, _ Options, r *Resource) error {
	text := cmp.Or(strings.TrimSpace(h.env("OTEL_RESOURCE_ATTRIBUTES")), strings.TrimSpace(h.env("OTEL_RESOURCE")))
	if text != "" {
		pairs, err := parseEnv(text)
		if err != nil {
			return &PermanentError{fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)}
		}
		for _, p := range pairs {
			r.Add(p[0], p[1])
		}
	}
	return nil
}

// parseEnv reads key=value,key=value. Values are percent-encoded.
func parseEnv(text string) (pairs [][2]string, err error) {
	end := 0
	for _, m := range envPair.FindAllStringSubmatchIndex(text, -1) {
		if m[0] != end {
			break
		}
		value, err := url.QueryUnescape(text[m[4]:m[5]])
		if err != nil {
			return nil, fmt.Errorf("the value of %q: %w", text[m[2]:m[3]], err)
		}
		pairs, end = append(pairs, [2]string{text[m[2]:m[3]], value}), m[1]
	}
	if end != len(text) {
		return nil, fmt.Errorf("expected key=value,key=value, found %q", text[end:])
	}
	return pairs, nil
}
