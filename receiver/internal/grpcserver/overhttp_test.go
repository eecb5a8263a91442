package grpcserver

import (
	"testing"
	"time"
)

// The timeouts of gRPC, as its own servers read them (internal/transport,
// decodeTimeout): what they refuse is an error.
func TestTimeoutOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "4m": 4 * time.Millisecond,
		"5u": 5 * time.Microsecond, "6n": 6, "0n": 0, "0010S": 10 * time.Second, "99999999n": 99_999_999,
		"99999999H": maxTimeout, "99999999S": maxTimeout,
	} {
		if got, err := timeoutOf([]string{text}); got != want || err != nil {
			t.Errorf("%q: %s, %v, expected %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1", "S", "10", "123456789S", "1s", "1h", "-1S", "+1S", " 1S", "1 S", "1.5S", "1S ", "0x1S", "1_0S", "１S"} {
		if got, err := timeoutOf([]string{text}); err == nil {
			t.Errorf("%q: %s, expected an error", text, got)
		}
	}
	if got, err := timeoutOf(nil); got != -1 || err != nil {
		t.Errorf("none: %s, %v, expected -1", got, err)
	}
	if got, err := timeoutOf([]string{"1S", "2S"}); got != 2*time.Second || err != nil {
		t.Errorf("two: %s, %v, expected the last", got, err)
	}
	if _, err := timeoutOf([]string{"x", "2S"}); err == nil {
		t.Error("one of two is malformed, and none is refused")
	}
}
