package routingconnector

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/pipeline"
)

// requestCondition compares a header of the request that a batch came in.
type requestCondition struct {
	header, value string // header in lower case
	differs       bool   // !=
}

var requestSyntax = regexp.MustCompile(`^\s*request\["([^"]+)"\]\s*(==|!=)\s*"(.*)"\s*$`)

func parseRequest(text string) (*requestCondition, error) {
	m := requestSyntax.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf(`expected request["name"] == "value" or request["name"] != "value", found %s`, text)
	}
	return &requestCondition{strings.ToLower(m[1]), m[3], m[2] == "!="}, nil
}

// matches reports whether a value of the header is equal, or differs. A header that is not
// there does neither.
func (r *requestCondition) matches(c *pipeline.Client) bool {
	return c != nil && slices.ContainsFunc(c.Metadata[r.header], func(v string) bool { return (v == r.value) != r.differs })
}
