package libpf

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"
)

// UnixTime32 is a time in seconds since the Unix epoch, up to the year 2106.
//
// Its JSON is a time of RFC 3339 in UTC, "2024-04-18T16:13:09Z". It differs from the
// type of this name in earlier profilers in that a value and a pointer to it have the
// same JSON. The JSON of a value used to be a number, 1713456789; UnmarshalJSON accepts
// both. As a key of a map it still is this number in quotes.
type UnixTime32 uint32

// NowAsUInt32 returns the current time in seconds since the Unix epoch, as
// ReportMetrics takes it.
func NowAsUInt32() uint32 { return uint32(time.Now().Unix()) }

// Time returns the time in UTC.
func (t UnixTime32) Time() time.Time { return time.Unix(int64(t), 0).UTC() }

// MarshalJSON implements json.Marshaler.
func (t UnixTime32) MarshalJSON() ([]byte, error) { return t.Time().MarshalJSON() }

// UnmarshalJSON implements json.Unmarshaler. It accepts a string with a time of RFC
// 3339 in whole seconds, or a number of seconds since the Unix epoch. null does not
// change the value.
func (t *UnixTime32) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	seconds, err := unixSeconds(b)
	if err != nil {
		return fmt.Errorf("time in JSON %s: %w", quoteShort(b), err)
	}
	*t = UnixTime32(seconds)
	return nil
}

func unixSeconds(b []byte) (uint32, error) {
	if !bytes.HasPrefix(b, []byte{'"'}) {
		n, err := strconv.ParseUint(string(b), 10, 32)
		if err != nil {
			return 0, fmt.Errorf("expected a time of RFC 3339, or whole seconds since 1970 up to %d", uint32(math.MaxUint32))
		}
		return uint32(n), nil
	}
	var at time.Time
	if err := at.UnmarshalJSON(b); err != nil {
		return 0, fmt.Errorf("expected a time of RFC 3339: %w", err)
	}
	if at.Nanosecond() != 0 {
		return 0, fmt.Errorf("found %d ns, expected whole seconds", at.Nanosecond())
	}
	if n := at.Unix(); n >= 0 && n <= math.MaxUint32 {
		return uint32(n), nil
	}
	return 0, fmt.Errorf("expected a time from %s to %s",
		UnixTime32(0).Time().Format(time.RFC3339), UnixTime32(math.MaxUint32).Time().Format(time.RFC3339))
}
