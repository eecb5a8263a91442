package otlpclient

import (
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
)

// fieldStatusMessage is where a refusal keeps its words:
//
//	google.rpc.Status { int32 code = 1; string message = 2; repeated Any details = 3 }
const fieldStatusMessage = 2

// maxMessageBytes bounds what is kept of a destination's words.
const maxMessageBytes = 1 << 10

// decodeStatus returns the message of a google.rpc.Status; "" if there is none.
func decodeStatus(b []byte) (message string, err error) {
	c := wire.Cursor{Buf: b}
	for c.Next() {
		if c.Num == fieldStatusMessage && c.Type == wire.TypeBytes {
			message = printable(c.Bytes)
		}
	}
	return message, c.Err
}

// settle makes an Answer of the response of a destination that took the request.
func settle(body []byte) Answer {
	rejected, message, err := otlp.ParsePartialSuccess(body)
	switch {
	case err != nil:
		return Answer{Warning: fmt.Errorf("the answer is not an OTLP response: %w", err)}
	case rejected < 0:
		return Answer{Message: printable(message), Warning: errors.New("the answer rejects a negative number of items")}
	}
	return Answer{Rejected: rejected, Message: printable(message)}
}

// printable returns a destination's words fit for a log: bounded, in one line,
// valid UTF-8.
func printable(b []byte) string {
	if len(b) > maxMessageBytes {
		b = b[:maxMessageBytes]
	}
	out := make([]rune, 0, len(b))
	for _, r := range string(b) {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}
