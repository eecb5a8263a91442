package otlpclient

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers. The four Export*ServiceResponse have the same shape, and so
// have their partial successes:
//
//	ExportXServiceResponse { XPartialSuccess partial_success = 1 }
//	XPartialSuccess        { int64 rejected_x = 1; string error_message = 2 }
//	google.rpc.Status      { int32 code = 1; string message = 2; repeated Any details = 3 }
const (
	fieldPartialSuccess = 1
	fieldRejected       = 1
	fieldErrorMessage   = 2
	fieldStatusMessage  = 2
)

// maxMessageBytes bounds what is kept of a destination's words.
const maxMessageBytes = 1 << 10

// decodeResponse reads the answer to an export request of any signal. As in
// every protobuf decoder, a known field of another wire type is an unknown one.
func decodeResponse(b []byte) (Answer, error) {
	var a Answer
	err := eachField(b, func(num protowire.Number, typ protowire.Type, v []byte) error {
		if num == fieldPartialSuccess && typ == protowire.BytesType {
			return a.decodePartial(v)
		}
		return nil
	})
	return a, err
}

// decodePartial reads a partial success. A field that comes again wins, as the
// parts of a split message do.
func (a *Answer) decodePartial(b []byte) error {
	return eachField(b, func(num protowire.Number, typ protowire.Type, v []byte) error {
		switch {
		case num == fieldRejected && typ == protowire.VarintType:
			n, _ := protowire.ConsumeVarint(v)
			a.Rejected = int64(n)
		case num == fieldErrorMessage && typ == protowire.BytesType:
			a.Message = printable(v)
		}
		return nil
	})
}

// decodeStatus returns the message of a google.rpc.Status; "" if there is none.
func decodeStatus(b []byte) (message string, err error) {
	err = eachField(b, func(num protowire.Number, typ protowire.Type, v []byte) error {
		if num == fieldStatusMessage && typ == protowire.BytesType {
			message = printable(v)
		}
		return nil
	})
	return message, err
}

// eachField calls f with every field of a message: with the content of a
// length-delimited one, else with the value as it stands on the wire.
func eachField(b []byte, f func(protowire.Number, protowire.Type, []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("field tag: %w", protowire.ParseError(n))
		}
		if !num.IsValid() { // ConsumeTag takes numbers up to 2^31
			return fmt.Errorf("field number %d is out of range", num)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return fmt.Errorf("field %d: %w", num, protowire.ParseError(n))
		}
		v := b[:n]
		if typ == protowire.BytesType {
			v, _ = protowire.ConsumeBytes(v)
		}
		if err := f(num, typ, v); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// settle makes an answer out of a response that says yes.
func settle(body []byte) Answer {
	a, err := decodeResponse(body)
	switch {
	case err != nil:
		return Answer{Warning: fmt.Errorf("the answer is no OTLP response: %w", err)}
	case a.Rejected < 0:
		a.Warning = errors.New("the answer rejects a negative number of items")
		a.Rejected = 0
	}
	return a
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
