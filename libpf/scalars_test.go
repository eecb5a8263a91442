package libpf_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/libpf"
)

func TestAddressHash(t *testing.T) {
	t.Parallel()
	for address, want := range map[libpf.Address]uint64{
		0:              0,
		1:              0xb456bcfc34c2cb2c,
		math.MaxUint16: 6444452806975366496,
		math.MaxUint32: 14731816277868330182,
		math.MaxUint64: 7256831767414464289,
	} {
		if address.Hash() != want || address.Hash32() != uint32(want) {
			t.Errorf("%#x: Hash %#x, Hash32 %#x, want %#x", uint64(address), address.Hash(), address.Hash32(), want)
		}
	}
}

func TestHashString(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]uint64{"": 0xcbf29ce484222325, "abc": 0xe71fa2190541574b} {
		if got := libpf.HashString(s); got != want {
			t.Errorf("%q: %#x, want %#x", s, got, want)
		}
	}
}

// A value and a pointer have the same JSON, alone and inside others.
func TestUnixTime32JSON(t *testing.T) {
	t.Parallel()
	const want = `"2024-04-18T16:13:09Z"`
	at := libpf.UnixTime32(1713456789)
	counts := libpf.TraceAndCounts{Hash: libpf.NewTraceHash(0x2a, 0x64), Timestamp: at, Count: 3, Comm: "python3", PodName: "p", ContainerName: "c"}
	const countsWant = `{"Hash":"000000000000002a0000000000000064","Timestamp":` + want +
		`,"Count":3,"Comm":"python3","PodName":"p","ContainerName":"c"}`
	for _, c := range []struct {
		v    any
		want string
	}{
		{at, want}, {&at, want}, {counts, countsWant}, {&counts, countsWant},
		{libpf.UnixTime32(0), `"1970-01-01T00:00:00Z"`},
		{libpf.UnixTime32(math.MaxUint32), `"2106-02-07T06:28:15Z"`},
		{map[libpf.UnixTime32]int{at: 1}, `{"1713456789":1}`},
	} {
		if got, err := json.Marshal(c.v); err != nil || string(got) != c.want {
			t.Errorf("%T: %s, %v, want %s", c.v, got, err, c.want)
		}
	}
	var back libpf.TraceAndCounts
	if err := json.Unmarshal([]byte(countsWant), &back); err != nil || back != counts {
		t.Errorf("read back: %+v, %v", back, err)
	}
	if got := at.Time(); !got.Equal(time.Date(2024, 4, 18, 16, 13, 9, 0, time.UTC)) || got.Location() != time.UTC {
		t.Errorf("Time: %v", got)
	}
}

func TestUnixTime32FromJSON(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]libpf.UnixTime32{
		`1713456789`:                  1713456789,
		`"2024-04-18T16:13:09Z"`:      1713456789,
		`"2024-04-18T18:13:09+02:00"`: 1713456789,
		`"2024-04-18T16:13:09.000Z"`:  1713456789,
		`0`:                           0,
		`4294967295`:                  math.MaxUint32,
		`null`:                        7,
	} {
		got := libpf.UnixTime32(7)
		if err := json.Unmarshal([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		`4294967296`:                 `time in JSON "4294967296": expected a time of RFC 3339, or whole seconds since 1970 up to 4294967295`,
		`-1`:                         "whole seconds since 1970",
		`1.5`:                        "whole seconds since 1970",
		`true`:                       "whole seconds since 1970",
		`""`:                         "expected a time of RFC 3339",
		`"2024-04-18"`:               "expected a time of RFC 3339",
		`"2024-04-18T16:13:09.001Z"`: "found 1000000 ns, expected whole seconds",
		`"1969-12-31T23:59:59Z"`:     "expected a time from 1970-01-01T00:00:00Z to 2106-02-07T06:28:15Z",
		`"2106-02-07T06:28:16Z"`:     "expected a time from 1970-01-01T00:00:00Z to 2106-02-07T06:28:15Z",
	} {
		got := libpf.UnixTime32(7)
		if err := json.Unmarshal([]byte(in), &got); err == nil || !strings.Contains(err.Error(), want) || got != 7 {
			t.Errorf("%s: %d, %v, want an error with %s", in, got, err, want)
		}
	}
}

func TestNowAsUInt32(t *testing.T) {
	before := time.Now().Unix()
	if now := int64(libpf.NowAsUInt32()); now < before || now > time.Now().Unix() {
		t.Errorf("got %d, want %d", now, before)
	}
}
