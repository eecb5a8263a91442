package otlpclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const jsonContentType = "application/json"

// jsonAnswer is the response to an export of any signal in JSON. A count is a number
// or a text with one.
type jsonAnswer struct {
	PartialSuccess struct {
		RejectedSpans      jsonCount `json:"rejectedSpans"`
		RejectedDataPoints jsonCount `json:"rejectedDataPoints"`
		RejectedLogRecords jsonCount `json:"rejectedLogRecords"`
		RejectedProfiles   jsonCount `json:"rejectedProfiles"`
		ErrorMessage       string    `json:"errorMessage"`
	} `json:"partialSuccess"`
}

type jsonCount int64

// UnmarshalJSON implements json.Unmarshaler.
func (c *jsonCount) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	n, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*c = jsonCount(n)
	return err
}

// settleJSON is settle for an answer in JSON.
func settleJSON(body []byte) Answer {
	var a jsonAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return Answer{Warning: fmt.Errorf("the answer is not an OTLP response in JSON: %w", err)}
	}
	p := a.PartialSuccess
	rejected := p.RejectedSpans + p.RejectedDataPoints + p.RejectedLogRecords + p.RejectedProfiles // one is set
	if rejected < 0 {
		return Answer{Message: printable([]byte(p.ErrorMessage)), Warning: errors.New("the answer rejects a negative number of items")}
	}
	return Answer{Rejected: int64(rejected), Message: printable([]byte(p.ErrorMessage))}
}
